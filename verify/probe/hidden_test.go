package probe

import (
	"context"
	"math"
	"testing"

	"github.com/moeconv/moeconv/convert"
	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/gguf/names"
	"github.com/moeconv/moeconv/quantize"
	"github.com/moeconv/moeconv/testdata"
	"github.com/moeconv/moeconv/verify"
)

// The same weights have the same hidden states; coarse ones are further off than fine ones; without attention they are others.
func TestHidden(t *testing.T) {
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
	suite, err := NewSuite([]Spec{{Name: "go", Prompt: "package main\n\nimport (\n\t\"fmt\"\n"}, {Name: "text", Prompt: "// Copyright 2009 The Go Authors. All rights reserved.\n"}}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	last := 1.0
	for _, c := range []struct {
		name string
		src  gguf.Source
		want verify.Status
	}{
		{"Q8_0", scheme("Q8_0"), verify.Pass},
		{"Q4_K_M", scheme("Q4_K_M"), verify.Pass},
		{"no attention", verify.Zeroed(plan, func(t gguf.TensorInfo) bool { return names.ClassOf(t.Name) == names.Attention }), verify.Warn},
	} {
		rep, err := verify.Run(context.Background(), &verify.Subject{Source: c.src, Reference: plan}, []verify.Check{suite.hiddenCheck()})
		if err != nil {
			t.Fatal(err)
		}
		r := rep.Checks[0]
		t.Logf("%s: %s: %s", c.name, r.Status, r.Detail)
		if r.Status != c.want || float64(r.Figure) >= last {
			t.Errorf("%s: %s: %s, after %v", c.name, r.Status, r.Detail, last)
		}
		last = float64(r.Figure)
	}
	if c := Cosine([]float64{1, 2, 3}, []float64{2, 4, 6}); math.Abs(c-1) > 1e-15 {
		t.Errorf("cosine of parallel vectors %v", c)
	}
}
