package card

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moeconv/moeconv/verify/evidence"
)

// bundle is the smallest bundle that the default template can be filled from.
func bundle(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range map[string]string{
		ReleaseName: `{"name": "Foo", "measured": "all of x.txt", "baseline": {"ppl": 5.25, "ppl_error": 0.125}, "fixes": [
			{"name": "tokenizer.add_bos", "key": "tokenizer.ggml.add_bos_token", "before": "false", "after": "true", "changed": true}],
			"outputs": [
			{"label": "Q8_0", "type": "Q8_0", "files": [{"path": "Foo-Q8_0.gguf", "sha256": "00ff"}], "total_bytes": 16210000000, "bits_per_weight": 8.5, "verdict": "pass",
			 "quality": {"ppl": 5.26, "ppl_error": 0.13, "mean_kld": 0.0004, "same_top": 0.99}},
			{"label": "Q2_K", "type": "Q2_K", "files": [{"path": "Foo-Q2_K/Foo-Q2_K-00001-of-00002.gguf"}], "total_bytes": 6240000000, "bits_per_weight": 3.27, "verdict": "warn",
			 "verify": {"checks": [{"name": "kld", "status": "warn", "detail": "mean KL divergence 0.61 is above 0.25"}]}},
			{"label": "Q1_0", "type": "Q1_0", "files": [{"path": "Foo-Q1_0.gguf"}], "total_bytes": 1, "verdict": "fail"}]}`,
		FactsName: `{"front_matter": {"license": "mit", "base_model": ["o/Foo"], "base_model_relation": "quantized", "pipeline_tag": "text-generation", "library_name": "llama.cpp", "tags": ["gguf"]},
			"source": {"repo": "o/Foo", "revision": "abc123"}, "repo": "me/Foo-GGUF", "prompt": "<|user|>\n{prompt}<|end|>\n<|assistant|>\n", "attribution": "Merged in August 2025."}`,
		FilesName: `{"model": {"architecture": "phimoe", "parameters": 41873153344, "active_parameters": 6640000000, "layers": 32, "context": 131072, "vocabulary": 32064, "experts": 16, "experts_used": 2, "expert_layers": 32},
			"files": [{"label": "Q2_K", "shards": 2, "folder": "Foo-Q2_K"}]}`,
		PlacementName:            `{"places": [{"label": "Q2_K", "vram_bytes": 8000000000, "n_cpu_moe": 12, "device_bytes": 7900000000, "host_bytes": 4000000000, "context": 4096, "command": "-ngl 99 --n-cpu-moe 12 -c 4096"}]}`,
		evidence.EnvironmentName: `{"cpu": "AMD EPYC", "cores": 2, "tool": {"version": "1", "commit": "abc", "reference": "llama.cpp 0c1e57098"}}`,
		BenchDir + "/a.json": `{"models": [{"name": "Foo-Q8_0", "cells": [{"mode": "streaming", "prompt": "short", "total_s": {"n": 5}, "ttft_s": {"mean": 0.25, "ci95": 0.01}, "decode_tok_s": {"mean": 12.5, "ci95": 0.5}},
			{"mode": "non-streaming", "prompt": "short", "total_s": {"n": 5}, "ttft_s": null, "decode_tok_s": null}]}]}`,
	} {
		if !json.Valid([]byte(text)) {
			t.Fatalf("%s is no JSON", name)
		}
		if err := evidence.WriteFile(filepath.Join(root, name), []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestDefaultTemplate(t *testing.T) {
	root := bundle(t)
	text, record, err := Render(os.DirFS(root), "README.md", DefaultTemplate(), []Plot{{"Foo.plots/kld.svg", "KL divergence"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"license: mit", "41.87 B, 6.64 B active", "| Foo-Q8_0.gguf | Q8_0 | 16.21 GB | 8.50", "| Foo-Q2_K/ (2 files) | Q2_K | 6.24 GB",
		"5.2600 ± 0.1300 | 0.000400 | 99.00%", "250.0 ms ± 10.0 ms | 12.50 ± 0.50 | 5", "not seen | not seen | 5", "`-ngl 99 --n-cpu-moe 12 -c 4096` | 7.90 GB | 4.00 GB",
		"llama-server -hf me/Foo-GGUF:Q8_0", "<|user|>\n{prompt}<|end|>", "mean KL divergence 0.61 is above 0.25", "add_bos_token wrongly", "Merged in August 2025."} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if strings.Contains(string(text), "Q1_0") {
		t.Error("a held file is on the card")
	}
	if bad := Check(string(text), Facts{License: "mit", BaseModel: "o/Foo", Files: []string{"Foo.plots/kld.svg"}}); len(bad) > 0 {
		t.Errorf("%v", bad)
	}
	for _, it := range evidence.Document("card", text, nil) {
		if len(it.Problems) > 0 {
			t.Errorf("%s: %v", it.Name, it.Problems)
		}
	}
	if err := evidence.WriteJSON(filepath.Join(root, evidence.CardName), record); err != nil {
		t.Fatal(err)
	}
	if _, err := evidence.Seal(root, nil); err != nil {
		t.Fatal(err)
	}
	r := evidence.Audit(os.DirFS(root), evidence.AuditOptions{Card: &evidence.Doc{Name: "README.md", Data: text}})
	for _, it := range r.Items {
		if strings.HasPrefix(it.Name, "card") && !it.Pass {
			t.Errorf("%s: %v", it.Name, it.Problems)
		}
	}
}

// TestTemplateRefusals: what a template may not do.
func TestTemplateRefusals(t *testing.T) {
	fsys := os.DirFS(bundle(t))
	for tmpl, want := range map[string]string{
		"{{.Front}}\nIt is 7 times faster.\n":                 "7 comes from no evidence",
		"{{.Front}}\nSize {SIZE}\n":                           "placeholder",
		"{{.Front}}\n{{.Model.Shared}}\n":                     "lacks",
		"{{.Front}}\n{{gb .Model.Shared}}\n":                  "lacks",
		"{{.Front}}\n{{.Colour}}\n":                           "Colour",
		"{{.Front}}\n{{gb .Name}}\n":                          "cannot be written",
		"{{.Front}}\n{{printf \"%.3s\" .Model.Parameters}}\n": "cut",
		"{{.Front}\n": "bad character",
	} {
		if _, _, err := Render(fsys, "README.md", tmpl, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", tmpl, err, want)
		}
	}
	var unbacked *UnbackedError
	if _, _, err := Render(fsys, "README.md", "{{.Front}}\n13.8GB\n", nil); !errors.As(err, &unbacked) || unbacked.Text != "13.8GB" {
		t.Errorf("%v", err)
	}
	if _, _, err := Render(fsys, "README.md", "{{.Front}}\nsee Q4_K_M at http://127.0.0.1:8080, phi-3.5\n", nil); err != nil {
		t.Errorf("names: %v", err)
	}
}

// TestParse: what the Hub reads as one is read as one; what only the Hub's other tools want is no mistake.
func TestParse(t *testing.T) {
	f, body, problems := Parse("---\r\nlicense: [mit, other]\r\nlanguage: no\r\nbase_model: o/Foo\r\nwidget: [{text: hi}]\r\n---\r\n# T\r\n")
	if len(problems) > 0 || f.License != "mit,other" || f.Language[0] != "no" || f.BaseModel[0] != "o/Foo" || body != "# T\n" {
		t.Errorf("%+v, %q, %v", f, body, problems)
	}
	for text, want := range map[string]string{
		"": "no front matter", "---\nlicense: mit\n": "no closing", "---\n- a\n---\n": "not valid YAML", "---\na: [\n---\n": "not valid YAML",
		"\ufeff---\nlicense: mit\n---\n": "byte order mark", "---\nlicense: {a: b}\n---\n": "not valid YAML", "---\nx: 1\nx: 2\n---\n": "already defined",
	} {
		if _, _, problems := Parse(text); !strings.Contains(strings.Join(problems, "; "), want) {
			t.Errorf("%q: %v", text, problems)
		}
	}
	if f, _, problems := Parse("---\nlicense:\nbase_model:\n---\n"); len(problems) > 0 || f.License != "" || f.BaseModel != nil {
		t.Errorf("%+v, %v", f, problems)
	}
}

// TestCheck: each defect that the white paper's cards had is named.
func TestCheck(t *testing.T) {
	const good = "---\nlicense: mit\nbase_model: [o/Foo]\nbase_model_relation: quantized\npipeline_tag: text-generation\nlibrary_name: llama.cpp\ntags: [gguf]\n---\n" +
		"# Foo\n## Files\n[x](https://huggingface.co/o/Foo) [f](Foo-Q8_0.gguf)\n## Limitations\n## Attribution\n"
	facts := Facts{License: "mit", BaseModel: "o/Foo", Files: []string{"Foo-Q8_0.gguf"}}
	if bad := Check(good, facts); len(bad) > 0 {
		t.Fatalf("%v", bad)
	}
	for change, want := range map[[2]string]string{
		{"---\nlicense", "\ufeff---\nlicense"}:                      "first bytes",
		{"license: mit", "license: apache-2.0"}:                     "the card says apache-2.0",
		{"license: mit\n", ""}:                                      "no license",
		{"license: mit", "license: other"}:                          "license_name",
		{"base_model: [o/Foo]", "base_model: [o/Bar]"}:              "base_model",
		{"base_model_relation: quantized\n", ""}:                    "relation",
		{"tags: [gguf]", "tags: [gguf, gguf]"}:                      "twice",
		{"tags: [gguf]", "tags: gguf"}:                              "front matter",
		{"tags: [gguf]", "tags: [gguf]\nlicense: mit"}:              "already defined",
		{"tags: [gguf]", "tags: [gguf]\ncolour: blue"}:              "colour",
		{"pipeline_tag: text-generation\n", ""}:                     "pipeline_tag",
		{"https://huggingface.co/o/Foo", "../Foo"}:                  "broken link: ../Foo",
		{"(Foo-Q8_0.gguf)", "(Foo-Q4_0.gguf)"}:                      "broken link: Foo-Q4_0.gguf",
		{"https://huggingface.co/o/Foo", "http://huggingface.co/x"}: "broken link: http:",
		{"\n---\n# Foo", "\n# Foo"}:                                 "closing",
	} {
		if bad := strings.Join(Check(strings.Replace(good, change[0], change[1], 1), facts), "; "); !strings.Contains(bad, want) {
			t.Errorf("%q: %q, want %q", change, bad, want)
		}
	}
}
