package probe

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/moeconv/moeconv/convert"
	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/gguf/names"
	"github.com/moeconv/moeconv/quantize"
	"github.com/moeconv/moeconv/runtime"
	"github.com/moeconv/moeconv/testdata"
	"github.com/moeconv/moeconv/verify"
)

// The trained tiny model on its own ground: it goes on with a Go file's head, and repeats itself where it was asked
// for a list of imports.
func TestTinyModel(t *testing.T) {
	plan, err := convert.OpenDir(testdata.Path("tiny", testdata.TinyName), convert.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer plan.Close()
	scheme := func(name string) gguf.Source {
		s, err := quantize.ParseScheme(name)
		if err != nil {
			t.Fatal(err)
		}
		job, err := quantize.New(plan, s, quantize.Options{})
		if err != nil {
			t.Fatal(err)
		}
		return job
	}
	head := Spec{Name: "code", Prompt: "// Copyright 2009 The Go Authors. All rights reserved.\n", MaxTokens: 48, Language: "go",
		Contains: []string{"package"}, Agreement: 0.25}
	imports := Spec{Name: "code", Prompt: "package main\n\nimport (\n\t\"fmt\"\n", MaxTokens: 48, Language: "go"}
	foreign := head
	foreign.Contains = []string{"def fibonacci"}
	for _, c := range []struct {
		name string
		spec Spec
		src  gguf.Source
		want verify.Status
		why  string
	}{
		{"Q8_0", head, scheme("Q8_0"), verify.Pass, "good: not empty, utf-8, repetition, echo, script, go tokens, contains, agreement, edits (48 tokens, raw prompt)"},
		{"Q4_K_M", head, scheme("Q4_K_M"), verify.Pass, "agreement"},
		{"list of imports", imports, scheme("Q8_0"), verify.Pass, "the text is degenerate, as of the source's own answer"},
		{"list of imports, no source", imports, scheme("Q8_0"), verify.Fail, "the text is degenerate"},
		{"no attention", head, verify.Zeroed(plan, func(t gguf.TensorInfo) bool { return names.ClassOf(t.Name) == names.Attention }), verify.Fail, "tokens are the source's, 25% are needed"},
		{"wrong answer", foreign, scheme("Q8_0"), verify.Pass, `no fault of the file: contains: "def fibonacci" is missing, as of the source's own answer`},
	} {
		if testing.Short() && c.name != "Q8_0" && c.name != "list of imports" {
			continue
		}
		suite, err := NewSuite([]Spec{c.spec}, Options{})
		if err != nil {
			t.Fatal(err)
		}
		sub := &verify.Subject{Name: c.name, Source: c.src, Reference: plan}
		if strings.HasSuffix(c.name, "no source") {
			sub.Reference = nil
		}
		rep, err := verify.Run(context.Background(), sub, suite.Checks())
		if err != nil {
			t.Fatal(err)
		}
		r := rep.Checks[0]
		if r.Name != "probe code" || r.Status != c.want || !strings.Contains(r.Detail, c.why) || r.Output == "" {
			t.Errorf("%s: %s %s: %s\n%s", c.name, r.Name, r.Status, r.Detail, r.Output)
		}
	}
}

// Answers that are written together are those that are written alone, whether the experts lie in memory or are read from the disk.
func TestAnswersTogether(t *testing.T) {
	plan, err := convert.OpenDir(testdata.Path("tiny", testdata.TinyName), convert.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer plan.Close()
	var qs []Query
	for seed := range 4 {
		q := Query{Prompt: "func main() {\n", MaxTokens: 10 + 8*seed, Temperature: 0.8, Seed: uint64(seed)}
		if seed == 0 {
			q.Temperature = 0
		}
		qs = append(qs, q)
	}
	for _, o := range []runtime.Options{{}, {ExpertRAM: 1 << 20}} {
		m, err := runtime.Load(plan, o)
		if err != nil {
			t.Fatal(err)
		}
		e := Builtin("tiny", m)
		together, err := e.Ask(context.Background(), qs...)
		if err != nil {
			t.Fatal(err)
		}
		for i, q := range qs {
			alone, err := e.Ask(context.Background(), q)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(alone[0].IDs, together[i].IDs) || alone[0].Text != together[i].Text || together[i].Tokens != q.MaxTokens {
				t.Errorf("answer %d: %q, alone %q", i, together[i].Text, alone[0].Text)
			}
		}
		m.Close()
	}
}

// In a release without a source its largest file is the yardstick of the others.
func TestSiblingIsTheYardstick(t *testing.T) {
	plan, err := convert.OpenDir(testdata.Path("tiny", testdata.TinyName), convert.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer plan.Close()
	member := func(scheme string, bytes int64) verify.Member {
		s, err := quantize.ParseScheme(scheme)
		if err != nil {
			t.Fatal(err)
		}
		return verify.Member{Label: scheme, Parts: []verify.Part{{Name: "tiny-" + scheme + ".gguf", Bytes: bytes}},
			Open: func() (gguf.Source, error) { return quantize.New(plan, s, quantize.Options{}) }}
	}
	suite, err := NewSuite([]Spec{{Name: "code", Prompt: "package main\n\nimport (\n\t\"fmt\"\n", MaxTokens: 48, Language: "go"}}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	set := &verify.Set{Members: []verify.Member{member("Q6_K", 5), member("Q8_0", 9)}, Checks: suite.Checks()}
	rel, err := set.Run(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []struct {
		status verify.Status
		why    string
	}{{verify.Pass, "the text is degenerate, as of tiny-Q8_0.gguf's own answer"}, {verify.Fail, "the text is degenerate"}} {
		if r, _ := rel.Files[i].Check("probe code"); r.Status != want.status || !strings.Contains(r.Detail, want.why) {
			t.Errorf("%s: %s: %s; want %s, %q", rel.Files[i].Label, r.Status, r.Detail, want.status, want.why)
		}
	}
}
