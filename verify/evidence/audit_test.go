package evidence

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
)

// bundle is a sealed bundle with one measurement, one log, claims and a card.
func bundle(t *testing.T) (root string, card []byte) {
	t.Helper()
	root = t.TempDir()
	put := func(name string, v any) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(filepath.Join(root, name)), 0o777); err != nil {
			t.Fatal(err)
		}
		if s, ok := v.(string); ok {
			if err := os.WriteFile(filepath.Join(root, name), []byte(s), 0o666); err != nil {
				t.Fatal(err)
			}
			return
		}
		if err := WriteJSON(filepath.Join(root, name), v); err != nil {
			t.Fatal(err)
		}
	}
	put(EnvironmentName, ThisMachine(Tool{"1.2.3", "abc", "llama.cpp 0c1e57098"}))
	put("release.json", map[string]any{"outputs": []any{map[string]any{"label": "Q4_K_M", "total_bytes": 2788448, "ppl": 13.5165, "same_top": 0.9353, "write_s": 1.25}}})
	put("log.txt", "load: one line\nload_tensors: CPU model buffer size = 13090.25 MiB\n")
	put("trace.jsonl", "{\"t_s\": 0.5}\n{\"t_s\": 0.75}\n")
	claims := Claims{Schema: claimsSchema}
	for _, c := range []struct {
		text            string
		v               any
		unit, file, ptr string
		tol             float64
		metric, scope   string
	}{
		{"the file has 2.79 MB", 2.79, "MB", "release.json", "/outputs/0/total_bytes", 0.005, "size", "Q4_K_M"},
		{"the file has 2788448 bytes", 2788448, "bytes", "release.json", "/outputs/0/total_bytes", 0, "size", "Q4_K_M"},
		{"perplexity 13.5165", 13.5165, "", "release.json", "/outputs/0/ppl", 0, "ppl", "Q4_K_M"},
		{"93.53% agree", 93.53, "%", "release.json", "/outputs/0/same_top", 0.005, "", ""},
		{"written in 1250 ms", 1250, "ms", "release.json", "/outputs/0/write_s", 0, "", ""},
		{"the label is Q4_K_M", "Q4_K_M", "", "release.json", "/outputs/0/label", 0, "", ""},
		{"the buffer has 13090.25 MiB", 13090.25, "MiB", "log.txt", "/2", 0, "", ""},
		{"the second token came after 0.75 s", 0.75, "s", "trace.jsonl", "/1/t_s", 0, "", ""},
	} {
		claim, err := NewClaim(c.text, c.v, c.unit, c.file, c.ptr, c.tol)
		if err != nil {
			t.Fatal(err)
		}
		claim.Metric, claim.Scope = c.metric, c.scope
		claims.Claims = append(claims.Claims, claim)
	}
	put(ClaimsName, claims)
	card = []byte("# Tiny Q4_K_M\n\nThe file has 2.79 MB.\n\nPerplexity 13.52, made on 2 cores.\n")
	put(CardName, NewCard("README.md", "", []Figure{
		{3, "2.79 MB", "release.json", "/outputs/0/total_bytes", "MB"}, {5, "13.52", "release.json", "/outputs/0/ppl", "f2"}}, string(card)))
	if _, err := Seal(root, map[string]string{"release.json": "moeconv hf2gguf tiny"}); err != nil {
		t.Fatal(err)
	}
	return root, card
}

func audit(root string, card []byte) *AuditReport {
	return Audit(os.DirFS(root), AuditOptions{Card: &Doc{"README.md", card}})
}

func TestAuditUntouched(t *testing.T) {
	root, card := bundle(t)
	if r := audit(root, card); !r.Pass || r.Score != 100 || r.Claims != 8 {
		t.Fatalf("%v", strings.Join(r.Lines(), "\n"))
	}
}

// TestAuditEveryByte changes one byte of every file of the bundle, then removes the file; each time the audit fails and
// names it.
func TestAuditEveryByte(t *testing.T) {
	root, card := bundle(t)
	m, err := ReadManifest(os.DirFS(root))
	if err != nil {
		t.Fatal(err)
	}
	names := []string{ManifestName}
	for _, f := range m.Files {
		names = append(names, f.Path)
	}
	for _, name := range names {
		path := filepath.Join(root, name)
		good, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, at := range []int{0, len(good) / 3, len(good) / 2, len(good) - 2} {
			bad := []byte(string(good))
			bad[at] ^= 1
			if err := os.WriteFile(path, bad, 0o666); err != nil {
				t.Fatal(err)
			}
			r := audit(root, card)
			if r.Pass || !strings.Contains(strings.Join(r.Lines(), "\n"), name) {
				t.Errorf("byte %d of %s: %v", at, name, strings.Join(r.Lines(), "\n"))
			}
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		if r := audit(root, card); r.Pass || !strings.Contains(strings.Join(r.Lines(), "\n"), name) {
			t.Errorf("without %s: %v", name, strings.Join(r.Lines(), "\n"))
		}
		if err := os.WriteFile(path, good, 0o666); err != nil {
			t.Fatal(err)
		}
	}
}

// TestAuditCardNumbers changes each digit of the card.
func TestAuditCardNumbers(t *testing.T) {
	root, card := bundle(t)
	for i, c := range card {
		if c < '0' || c > '9' {
			continue
		}
		bad := []byte(string(card))
		bad[i] = '0' + (c-'0'+1)%10
		r := audit(root, bad)
		line := fmt.Sprintf("line %d", 1+strings.Count(string(card[:i]), "\n"))
		if r.Pass || !strings.Contains(strings.Join(r.Lines(), "\n"), line) {
			t.Errorf("%s of %q: %v", line, bad, strings.Join(r.Lines(), "\n"))
		}
	}
	for _, bad := range []string{string(card) + "\nIt is 7 times faster.\n", strings.Replace(string(card), "13.52, ", "", 1)} {
		if r := audit(root, []byte(bad)); r.Pass {
			t.Errorf("passed: %q", bad)
		}
	}
	if r := audit(root, []byte(strings.Replace(string(card), "The file", "This file", 1))); !r.Pass {
		t.Errorf("edited prose: %v", strings.Join(r.Lines(), "\n"))
	}
}

// TestAuditClaims changes each claim's value.
func TestAuditClaims(t *testing.T) {
	root, card := bundle(t)
	list, err := ReadClaims(os.DirFS(root), ClaimsName)
	if err != nil {
		t.Fatal(err)
	}
	for i := range list {
		changed := append([]Claim(nil), list...)
		changed[i].Value = json.RawMessage(strings.Replace(string(changed[i].Value), "5", "6", 1))
		if string(changed[i].Value) == string(list[i].Value) {
			changed[i].Value = json.RawMessage(`"8"`)
		}
		r := Audit(os.DirFS(root), AuditOptions{Claims: changed, Card: &Doc{"README.md", card}})
		if r.Pass || !strings.Contains(strings.Join(r.Lines(), "\n"), list[i].Text) {
			t.Errorf("%s %s: %v", list[i].Text, changed[i].Value, strings.Join(r.Lines(), "\n"))
		}
	}
	for _, damage := range []func(*Claim){
		func(c *Claim) { c.Pointer = "/outputs/1/ppl" },
		func(c *Claim) { c.Pointer = "outputs" },
		func(c *Claim) { c.Evidence = "gone.json" },
		func(c *Claim) { c.Evidence = "../release.json" },
		func(c *Claim) { c.Tolerance = -1 },
		func(c *Claim) { c.Unit = "GB" },
		func(c *Claim) { c.Value = json.RawMessage(`{}`) },
	} {
		changed := append([]Claim(nil), list[0])
		damage(&changed[0])
		if r := Audit(os.DirFS(root), AuditOptions{Claims: changed}); strings.Join(r.Failed(), " ") == "" {
			t.Errorf("%+v passes", changed[0])
		}
	}
	list[0].Text = "the file has 2.89 MB"
	if r := Audit(os.DirFS(root), AuditOptions{Claims: list[:1]}); !strings.Contains(strings.Join(r.Lines(), "\n"), "its text says 2.89 MB") {
		t.Errorf("another figure in the text: %v", r.Lines())
	}
	two := append([]Claim(nil), list[:2]...)
	two[1].Value = json.RawMessage("3788448")
	if r := Audit(os.DirFS(root), AuditOptions{Claims: two}); !strings.Contains(strings.Join(r.Failed(), " "), "claims agree") {
		t.Errorf("two sizes: %v", r.Lines())
	}
}

// TestAuditIrregular: what is no file is named and not waited for.
func TestAuditIrregular(t *testing.T) {
	fsys := fstest.MapFS{
		ManifestName: {Data: []byte(`{"schema": "moeconv/manifest/1", "files": [{"path": "claims.json"}, {"path": "../x.json"}]}`)},
		ClaimsName:   {Mode: fs.ModeNamedPipe},
	}
	r := Audit(fsys, AuditOptions{})
	if text := strings.Join(r.Lines(), "\n"); r.Pass || !strings.Contains(text, "claims.json is no regular file") || !strings.Contains(text, "path \"../x.json\"") {
		t.Error(text)
	}
}

// TestClaimUnits: a claim holds in the units of its evidence and in no other.
func TestClaimUnits(t *testing.T) {
	fsys := fstest.MapFS{
		"m.json": {Data: []byte(`{"total_bytes": 2788448, "vram_mib": 1899.75, "ttft_s": {"mean": 0.73}, "decode_tok_s": {"mean": 6.5}, "same_top": 0.9353,
			"saving_percent": 71.5, "ttft": 0.73, "size": 13800000000, "reduction": 80.7}`)},
		"log.txt": {Data: []byte("CPU model buffer size = 13090.25 MiB\n")},
	}
	docs := cached(fsys)
	for _, c := range []struct {
		text, value, unit, file, pointer string
		tolerance                        float64
		ok                               bool
	}{
		{"", "2.79", "MB", "m.json", "/total_bytes", 0.005, true},
		{"", "2.79", "MiB", "m.json", "/total_bytes", 0.005, false},
		{"", "2788448", "s", "m.json", "/total_bytes", 0, false},
		{"", "1.855", "GiB", "m.json", "/vram_mib", 0.001, true},
		{"", "1.855", "GB", "m.json", "/vram_mib", 0.001, false},
		{"", "730", "ms", "m.json", "/ttft_s/mean", 0, true},
		{"", "730", "s", "m.json", "/ttft_s/mean", 0, false},
		{"", "0.73", "", "m.json", "/ttft_s/mean", 0, true},
		{"", "6.5", "tok/s", "m.json", "/decode_tok_s/mean", 0, true},
		{"", "6.5", "TPS", "m.json", "/decode_tok_s/mean", 0, true},
		{"", "6.5", "s", "m.json", "/decode_tok_s/mean", 0, false},
		{"", "93.53", "%", "m.json", "/same_top", 0.005, true},
		{"", "0.9353", "%", "m.json", "/same_top", 0.005, false},
		{"", "71.5", "%", "m.json", "/saving_percent", 0, true},
		{"", "80.7", "%", "m.json", "/reduction", 0, true},
		{"", "730", "ms", "m.json", "/ttft", 0, true},
		{"", "13.8", "GB", "m.json", "/size", 0, true},
		{"", "13090.25", "MiB", "log.txt", "/1", 0, true},
		{"", "12.78", "GiB", "log.txt", "/1", 0.01, true},
		{"", "13090.25", "GB", "log.txt", "/1", 0, false},
		{"it saves 71.5% of VRAM", "71.5", "%", "m.json", "/saving_percent", 0, true},
		{"it saves 99.9% of VRAM", "71.5", "%", "m.json", "/saving_percent", 0, false},
		{"13.8 billion bytes in 2 files", "13800000000", "", "m.json", "/size", 0, true},
		{"the file has 2.79 MB", "2788448", "bytes", "m.json", "/total_bytes", 0, true},
		{"the file has 2.97 MB", "2788448", "bytes", "m.json", "/total_bytes", 0, false},
		{"the file has less than 3 MB", "2788448", "bytes", "m.json", "/total_bytes", 0, true},
	} {
		claim := Claim{Text: c.text, Value: json.RawMessage(c.value), Unit: c.unit, Evidence: c.file, Pointer: c.pointer, Tolerance: c.tolerance}
		if got := claim.check(docs); (got == "") != c.ok {
			t.Errorf("%q %s %s at %s: %q", c.text, c.value, c.unit, c.pointer, got)
		}
	}
}

func TestPrivate(t *testing.T) {
	for text, bad := range map[string]bool{
		"hf_abcdefghijklmnopqrstuvwx":                true,
		"Authorization: Bearer abcdefghijklmnopqrst": true,
		`"/home/anna/models/x.gguf"`:                 true,
		`C:\\Users\\anna\\x`:                         true,
		"192.168.1.17:8080":                          true,
		"127.0.0.1:8080 and models/x.gguf":           false,
		"hf_hub and /homework":                       false,
	} {
		if got := Private(text); (len(got) > 0) != bad {
			t.Errorf("%s: %v", text, got)
		}
	}
	root, card := bundle(t)
	if err := os.WriteFile(filepath.Join(root, "notes.txt"), []byte("see /home/anna/run"), 0o666); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "run.log"), []byte("x"), 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := Seal(root, nil); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(audit(root, card).Failed(), ","); got != "names,private" {
		t.Errorf("failed: %s", got)
	}
}

// TestAuditBench: each way in which a result of bench can be made up is named.
func TestAuditBench(t *testing.T) {
	const good = `{"schema": "moeconv/bench/1", "options": {"max_tokens": 100}, "prompts": [{"name": "short"}], "models": [{"name": "m",
		"rows": [{"prompt": "short", "mode": "streaming", "completion_tokens": 100, "ttft_s": 0.25, "total_s": 1.5, "decode_tok_s": 80},
			{"prompt": "short", "mode": "streaming", "completion_tokens": 100, "ttft_s": 0.5, "total_s": 2.5, "decode_tok_s": 40},
			{"prompt": "short", "mode": "streaming", "completion_tokens": 97, "ttft_s": 0.75, "total_s": 2, "decode_tok_s": 60}],
		"cells": [{"prompt": "short", "mode": "streaming", "ttft_s": {"mean": 0.5, "n": 3}, "total_s": {"mean": 2, "min": 1.5, "n": 3}, "decode_tok_s": {"mean": 60, "stddev": 20, "ci95": 49.68, "n": 3}, "completion_tokens": {"mean": 99, "n": 3}}],
		"memory": [{"name": "rss", "bytes": 1000, "method": "VmHWM", "scope": "process"}]}]}`
	for change, want := range map[[2]string]string{
		{"", ""}:                                                      "",
		{`"stddev": 20`, `"stddev": 2`}:                               "decode_tok_s has the stddev 2, the rows have 20",
		{`"ci95": 49.68`, `"ci95": 4.968`}:                            "95% interval",
		{`"min": 1.5`, `"min": 1.4`}:                                  "has the min 1.4",
		{`"mean": 60`, `"mean": 61`}:                                  "decode_tok_s has the mean 61, the rows have 60",
		{`"ttft_s": 0.25`, `"ttft_s": 0.26`}:                          "ttft_s has the mean",
		{`"completion_tokens": 97`, `"completion_tokens": 104`}:       "104 tokens of at most 100",
		{`"mean": 2, "min": 1.5, "n": 3`, `"mean": 2, "n": 4`}:        "is the mean of 4 runs, there are 3",
		{`"mean": 2, "min": 1.5, "n": 3`, `"mean": 1.5, "n": 1`}:      "not publishable",
		{`"bytes": 1000`, `"bytes": 0`}:                               "memory rss: 0 bytes",
		{`"method": "VmHWM"`, `"method": ""`}:                         "memory rss",
		{`"ttft_s": 0.5, "total_s": 2.5`, `"ttft_s": 0.5, "total_s"`}: "invalid character",
	} {
		root, card := bundle(t)
		if err := WriteFile(filepath.Join(root, "bench", "x.json"), []byte(strings.Replace(good, change[0], change[1], 1))); err != nil {
			t.Fatal(err)
		}
		if _, err := Seal(root, nil); err != nil {
			t.Fatal(err)
		}
		r := audit(root, card)
		if text := strings.Join(r.Lines(), "\n"); r.Pass != (want == "") || !strings.Contains(text, want) {
			t.Errorf("%q: %s", change, text)
		}
	}
	same := strings.NewReplacer(`"ttft_s": 0.25`, `"ttft_s": 0.15`, `"ttft_s": 0.5, "total_s": 2.5`, `"ttft_s": 0.25, "total_s": 2.5`, `"ttft_s": 0.75`, `"ttft_s": 0.2`, `"mean": 0.5`, `"mean": 0.2`).Replace(good)
	root, card := bundle(t)
	if err := WriteFile(filepath.Join(root, "bench", "x.json"), []byte(same)); err != nil {
		t.Fatal(err)
	}
	if _, err := Seal(root, nil); err != nil {
		t.Fatal(err)
	}
	if text := strings.Join(audit(root, card).Lines(), "\n"); !strings.Contains(text, "same share of the time, 0.1000") {
		t.Error(text)
	}
}
