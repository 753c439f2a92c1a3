package verify

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/moeconv/moeconv/gguf"
)

// member is a model of the tests as a file of a release.
func member(label string, src gguf.Source) Member {
	var bytes int64
	if src != nil {
		for _, t := range src.Tensors() {
			bytes += t.Bytes()
		}
	}
	return Member{Label: label, Scheme: label, Parts: []Part{{Name: "tiny-" + label + ".gguf", Bytes: bytes}},
		Open: func() (gguf.Source, error) { return src, nil }}
}

func runSet(t *testing.T, s *Set) *Release {
	t.Helper()
	s.Name = "tiny"
	r, err := s.Run(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// structureOnly are checks that need no run of the model.
func structureOnly() []Check {
	return slices.DeleteFunc(Standard(), func(c Check) bool { return !c.Structural })
}

// One file that fails holds itself; the others are published.
func TestSetHoldsAFile(t *testing.T) {
	bad := tinyAs(t, "Q6_K")
	clear(bad.expert(t, down2, 2))
	gone := Member{Label: "IQ2_M", Optional: true, Parts: []Part{{Name: "x/tiny-IQ2_M-00002-of-00002.gguf", Bytes: 7}},
		Open: func() (gguf.Source, error) {
			return nil, errors.New("/home/me/out/x/tiny-IQ2_M-00001-of-00002.gguf: no such file")
		}}
	s := &Set{Checks: structureOnly(), Private: []string{"/home/me/out"}, Subject: Subject{Reference: tinyPlan(t)},
		Members: []Member{member("Q8_0", tinyAs(t, "Q8_0")), member("Q6_K", bad), member("Q4_K_M", tinyAs(t, "Q4_K_M")), gone}}
	r := runSet(t, s)
	want := `2 ready, 2 held (Q6_K: scan: tensor "blk.2.ffn_down_exps.weight", expert 2: all values are zero; IQ2_M (optional): open: x/tiny-IQ2_M-00001-of-00002.gguf: no such file)`
	if r.Verdict != want || r.Status != Fail {
		t.Errorf("%s: %s", r.Status, r.Verdict)
	}
	if diff := cmp.Diff(r.Ready, []string{"Q8_0", "Q4_K_M"}); diff != "" {
		t.Error(diff)
	}
	if w := r.Publish; w != "moeconv publish . --repo OWNER/tiny-GGUF" {
		t.Error(w)
	}
	if h := r.Held[0]; h.Check != "scan" || h.File != "tiny-Q6_K.gguf" || h.Optional {
		t.Errorf("%+v", h)
	}
	if c, _ := r.Files[3].Check("scan"); c.Status != NotApplicable {
		t.Errorf("scan of a file that cannot be opened: %+v", c)
	}
	doc, err := json.Marshal(r)
	if err != nil || strings.Contains(string(doc), "/home/me") {
		t.Errorf("a path of this machine is in the report; %v", err)
	}

	r.OnFailure = HoldRelease
	r.Judge()
	if len(r.Ready) != 0 || len(r.Held) != 4 || r.Publish != "" || !strings.Contains(r.Verdict, "0 ready, 4 held (Q6_K: ") || !strings.Contains(r.Verdict, "2 others with them") {
		t.Errorf("hold-release: %s", r.Verdict)
	}
	r.Files[1].Optional = true
	r.Judge()
	if r.Status != Warn || len(r.Ready) != 2 {
		t.Errorf("all that failed is optional: %s %s", r.Status, r.Verdict)
	}
}

// The source is loaded and run once for all files; files of an earlier run are not run again, but compared.
func TestSetSharesTheSource(t *testing.T) {
	source := tinyPlan(t)
	var order []string
	s := &Set{Subject: Subject{Reference: source, Text: validText(t), Context: 128, Chunks: 4},
		Members: []Member{member("Q8_0", tinyAs(t, "Q8_0")), member("Q4_K_M", tinyAs(t, "Q4_K_M"))},
		Progress: func(label, check string, done, total int64) {
			if done == total && (check == "baseline" || check == "kld") {
				order = append(order, label+" "+check)
			}
		}}
	first := runSet(t, s)
	if diff := cmp.Diff(order, []string{"Q8_0 baseline", "Q8_0 kld", "Q4_K_M kld"}); diff != "" {
		t.Errorf("the source must run once:\n%s", diff)
	}
	q := first.Files[1].Quality
	if q == nil || !(q.MeanKLD > 0 && q.KLDLow < q.MeanKLD && q.MeanKLD < q.KLDHigh) || q.Chunks != 4 || len(q.ChunkMeans) != 4 || !q.EndRatio.Valid() {
		t.Errorf("quality %+v", q)
	}
	if !strings.Contains(first.Verdict, "2 ready, 0 held") {
		t.Error(first.Verdict)
	}
	data, err := json.Marshal(first.Files[0])
	if err != nil {
		t.Fatal(err)
	}
	known := &Report{}
	if err := json.Unmarshal(data, known); err != nil {
		t.Fatal(err)
	}
	order, s.Members[0].Known = nil, known
	again := runSet(t, s)
	if slices.Contains(order, "Q8_0 kld") || again.Files[0].Quality.MeanKLD != first.Files[0].Quality.MeanKLD {
		t.Errorf("a known report was made again: %v", order)
	}
}

func TestSiblings(t *testing.T) {
	sound := tinyAs(t, "Q8_0")
	with := func(key string, v any) *memory {
		m := sound.clone()
		if v == nil {
			m.md.Delete(key)
		} else {
			m.md.Set(key, v)
		}
		return m
	}
	shape := sound.clone()
	shape.remove(t, down2)
	for _, c := range []struct {
		name   string
		m      *memory
		want   Status
		detail string
	}{
		{"alike", sound.clone(), Pass, "as in the other 2 files"},
		{"own keys", with("general.file_type", uint32(15)), Pass, ""},
		{"template", with("tokenizer.chat_template", "{{ messages }}"), Fail, "key tokenizer.chat_template differs from that of a"},
		{"bos", with("tokenizer.ggml.bos_token_id", uint32(3)), Fail, "key tokenizer.ggml.bos_token_id differs from that of a"},
		{"tags", with("moeconv.expert.count", uint32(6)), Warn, "key moeconv.expert.count is not in a"},
		{"missing key", with("general.license", nil), Warn, "key general.license is missing; it is in a"},
		{"tensor", shape, Fail, "the list of tensors differs from that of a"},
	} {
		s := &Set{Checks: []Check{}, Members: []Member{member("a", sound), member("b", sound), member("c", c.m)}}
		r := runSet(t, s)
		got, _ := r.Files[2].Check("siblings")
		other, _ := r.Files[0].Check("siblings")
		if got.Status != c.want || !strings.Contains(got.Detail, c.detail) || other.Status != Pass {
			t.Errorf("%s: %s: %s; the others %s", c.name, got.Status, got.Detail, other.Status)
		}
		if n := len(r.Templates); (n == 2) != (c.name == "template") {
			t.Errorf("%s: %d templates to judge side by side", c.name, n)
		}
	}
	// Of two that differ, the one that is as the source is right.
	for _, first := range []bool{true, false} {
		members := []Member{member("a", sound), member("b", with("tokenizer.ggml.bos_token_id", uint32(3)))}
		if !first {
			slices.Reverse(members)
		}
		r := runSet(t, &Set{Checks: []Check{}, Members: members, Subject: Subject{Reference: sound}})
		for _, f := range r.Files {
			if c, _ := f.Check("siblings"); (c.Status == Fail) != (f.Label == "b") {
				t.Errorf("%s: %s: %s", f.Label, c.Status, c.Detail)
			}
		}
	}
}

// dominated are the files of the table beside the tiny model that are larger than another and further from the source.
var dominated = []string{"MXFP4_MOE", "Q2_K", "Q2_K+im", "Q2_K_S+im", "Q4_0", "Q4_1"}

// Exactly the dominated files of llama-perplexity's table are marked, by its own figures.
func TestDominatedOfTheTable(t *testing.T) {
	var files []*Report
	for label, row := range qualityTable(t) {
		files = append(files, &Report{Label: label, Bytes: row.Bytes, Quality: &Quality{MeanKLD: Number(row.Mean), KLDError: Number(row.Mean / 60)}})
	}
	if len(files) != 34 {
		t.Fatalf("%d rows", len(files))
	}
	var marked []string
	for _, f := range files {
		f.add("dominance", dominance(f, files))
		if len(f.DominatedBy) > 0 {
			marked = append(marked, f.Label)
		}
		if f.Label == "Q4_1" && f.DominatedBy[0] != "Q4_K_M+im" {
			t.Errorf("Q4_1 is dominated by %v: the closest must come first", f.DominatedBy)
		}
	}
	slices.Sort(marked)
	if diff := cmp.Diff(marked, dominated); diff != "" {
		t.Error(diff)
	}
}

// The 34 files of the tiny model, measured by ourselves: the same ones are marked, on a ninth of the text.
func TestDominatedOfTheTinyModel(t *testing.T) {
	if testing.Short() {
		t.Skip("34 files are too many for the race detector")
	}
	table := qualityTable(t)
	s := &Set{Subject: Subject{Reference: tinyPlan(t), Text: validText(t), Chunks: 6},
		Checks: []Check{{Name: "kld", Run: checkDivergence}}}
	for _, row := range slices.Sorted(maps.Keys(table)) {
		m := member(row, nil)
		m.Scheme, _ = strings.CutSuffix(row, "+im")
		m.Parts[0].Bytes = table[row].Bytes
		m.Open = func() (gguf.Source, error) { return golden(t, row), nil }
		s.Members = append(s.Members, m)
	}
	var marked []string
	for _, f := range runSet(t, s).Files {
		if len(f.DominatedBy) > 0 {
			marked = append(marked, f.Label)
		}
		if f.Status == Fail {
			t.Errorf("%s", strings.Join(f.Lines(), "\n"))
		}
	}
	slices.Sort(marked)
	if diff := cmp.Diff(marked, dominated); diff != "" {
		t.Error(diff)
	}
}

// A difference that may be chance marks no file; one that is certain warns, and beyond the scheme's band it fails.
func TestDominance(t *testing.T) {
	poor := &Report{Label: "poor", Bytes: 1, Checks: []Result{{Name: "kld", Status: Warn}}, Quality: &Quality{MeanKLD: 0.010, KLDError: 0.001}}
	bad := &Report{Label: "bad", Bytes: 2, Checks: []Result{{Name: "kld", Status: Warn}}, Quality: &Quality{MeanKLD: 0.02, KLDError: 0.001}}
	if r := dominance(bad, []*Report{poor, bad}); r.Status != Warn || len(bad.DominatedBy) != 1 {
		t.Errorf("both beyond their bands: %s: %s", r.Status, r.Detail)
	}
	small := &Report{Label: "small", Bytes: 1, Quality: &Quality{MeanKLD: 0.010, KLDError: 0.001, ChunkMeans: []Number{0.01, 0.012, 0.008, 0.01}}}
	for _, c := range []struct {
		name   string
		q      Quality
		band   Status
		want   Status
		marked bool
	}{
		{"better", Quality{MeanKLD: 0.009, KLDError: 0.001}, Pass, Pass, false},
		{"by chance", Quality{MeanKLD: 0.0105, KLDError: 0.001}, Pass, Pass, false},
		{"certain by pairs of chunks", Quality{MeanKLD: 0.0105, KLDError: 0.001, ChunkMeans: []Number{0.0105, 0.0125, 0.0085, 0.0104}}, Pass, Warn, true},
		{"certain", Quality{MeanKLD: 0.02, KLDError: 0.001}, Pass, Warn, true},
		{"certain, beyond the band", Quality{MeanKLD: 0.02, KLDError: 0.001}, Warn, Fail, true},
		{"not measured", Quality{MeanKLD: None()}, Pass, NotApplicable, false},
	} {
		f := &Report{Label: "large", Bytes: 2, Quality: &c.q, Checks: []Result{{Name: "kld", Status: c.band}}}
		r := dominance(f, []*Report{small, f})
		if r.Status != c.want || (len(f.DominatedBy) == 1) != c.marked {
			t.Errorf("%s: %s %v: %s", c.name, r.Status, f.DominatedBy, r.Detail)
		}
	}
	if r := dominance(small, nil); r.Status != Pass {
		t.Errorf("a file that only files which fail could beat: %+v", r)
	}
}

func TestFindFiles(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, md map[string]string) {
		m := &gguf.Metadata{}
		m.Set("general.architecture", "llama")
		for k, v := range md {
			m.Set(k, v)
		}
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		f, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if err := gguf.Write(context.Background(), f, &memory{md: m}, gguf.WriteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	write("M-Q4_K_M.gguf", nil)
	write("M-Q4_K_S.gguf", nil)
	write("M-BF16/M-BF16-00001-of-00002.gguf", nil)
	write("M-BF16/M-BF16-00002-of-00002.gguf", nil)
	write("M-Q8_0-00002-of-00002.gguf", nil) // its first shard is missing
	write("calibration.gguf", map[string]string{"general.type": "imatrix"})
	write("mmproj-F16.gguf", map[string]string{"general.architecture": "clip"})
	write(".cache/M-Q2_K.gguf", nil)
	for name, text := range map[string]string{"M-Q3_K_M.gguf": "not GGUF at all", "README.md": "text", "SHA256SUMS": strings.Repeat("ab", 32) + "  M-Q4_K_M.gguf\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	f, err := FindFiles(dir)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, m := range f.Members {
		got[m.Label] = m.Name()
	}
	want := map[string]string{"Q4_K_M": "M-Q4_K_M.gguf", "Q4_K_S": "M-Q4_K_S.gguf", "BF16": "M-BF16/M-BF16-00001-of-00002.gguf",
		"Q8_0": "M-Q8_0-00002-of-00002.gguf", "Q3_K_M": "M-Q3_K_M.gguf"}
	if diff := cmp.Diff(got, want); diff != "" || f.Name != "M" {
		t.Errorf("name %q\n%s", f.Name, diff)
	}
	if len(f.Aside) != 2 || f.Aside[0].Why != "an importance matrix" || f.Aside[1].Why != "a projector of another modality" {
		t.Errorf("aside %+v", f.Aside)
	}
	for _, m := range f.Members {
		if m.Label == "Q4_K_M" && m.Parts[0].SHA256 != strings.Repeat("ab", 32) || m.Label == "BF16" && len(m.Parts) != 2 {
			t.Errorf("%+v", m.Parts)
		}
		if _, err := m.Open(); (err != nil) != (m.Label == "Q3_K_M" || m.Label == "Q8_0") && m.Label != "BF16" {
			t.Errorf("%s: %v", m.Label, err)
		}
	}
	for i := range f.Members {
		m := &f.Members[i]
		r := hashParts(context.Background(), m.Parts, nil)
		if (r.Status == Fail) != (m.Label == "Q4_K_M") || len(m.Parts[0].SHA256) != 64 {
			t.Errorf("%s: hash %s: %s", m.Label, r.Status, r.Detail)
		}
	}
	one, err := TakeFiles([]string{filepath.Join(dir, "M-BF16", "M-BF16-00002-of-00002.gguf")})
	if err != nil || len(one.Members) != 1 || len(one.Members[0].Parts) != 2 || one.Members[0].Label != "BF16" || one.Name != "M" {
		t.Errorf("a shard stands for its set: %+v, %v", one, err)
	}
	if _, err := TakeFiles([]string{filepath.Join(dir, "M-Q4_K_M.gguf"), filepath.Join(dir, "nowhere.gguf")}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
	var none *NoFilesError
	if _, err := FindFiles(filepath.Join(dir, ".cache", "..")); err != nil {
		t.Error(err)
	}
	if _, err := FindFiles(t.TempDir()); !errors.As(err, &none) {
		t.Errorf("an empty folder: %v", err)
	}
}
