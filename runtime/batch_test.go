package runtime

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path"
	"slices"
	"testing"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/runtime/nn"
	"github.com/moeconv/moeconv/testdata"
)

// TestParts: for every family, tokens of several texts computed together get the logits they get alone, bit for bit.
func TestParts(t *testing.T) {
	for _, c := range testdata.Checkpoints() {
		t.Run(path.Base(c.Dir), func(t *testing.T) {
			t.Parallel()
			m := load(t, plan(t, c.Dir, "f32"), Options{Threads: 2})
			rng := rand.New(rand.NewPCG(1, 1))
			texts := make([][]int32, 3)
			for i := range texts {
				for range 9 {
					texts[i] = append(texts[i], rng.Int32N(int32(m.VocabSize())))
				}
			}
			alone, together := make([][][]float32, len(texts)), make([][][]float32, len(texts))
			var states []*nn.State
			for i, text := range texts {
				s := m.decoder.NewState()
				states = append(states, m.decoder.NewState())
				for at := 0; at < len(text); at++ {
					r, err := s.Eval(t.Context(), text[at:at+1], 0, false)
					if err != nil {
						t.Fatal(err)
					}
					alone[i] = append(alone[i], r.Logits...)
				}
			}
			b := m.NewBatch()
			for slices.ContainsFunc(states, func(s *nn.State) bool { return s.Len() < 9 }) {
				var parts []nn.Part
				var of []int
				for i, s := range states {
					if n := min(rng.IntN(4), 9-s.Len()); n > 0 {
						parts, of = append(parts, nn.Part{State: s, Tokens: texts[i][s.Len():][:n]}), append(of, i)
					}
				}
				if len(parts) == 0 {
					continue
				}
				logits, err := b.state.EvalParts(t.Context(), parts)
				if err != nil {
					t.Fatal(err)
				}
				for k, i := range of {
					together[i] = append(together[i], logits[k]...)
				}
			}
			for i := range texts {
				equalRows(t, fmt.Sprint("text ", i), together[i], alone[i])
			}
		})
	}
}

// TestBatch: generations of all kinds that join and leave write what they write alone.
func TestBatch(t *testing.T) {
	for name, opts := range map[string]Options{
		"f32": {Context: 40}, "rounded f16": {Context: 40, KV: gguf.F16, Threads: 2}, "integers q8_0": {Context: 40, KV: gguf.Q8_0, Activations: ActivationsIntegers},
		"streamed": {Context: 40, ExpertRAM: experts(plan(t, tinyDir, "bf16"), 2)},
	} {
		m, tok := tiny(t, opts)
		var gs []*Generator
		var want []Generation
		add := func(text string, o GenerateOptions) {
			ids := prompt(t, tok, text)
			want = append(want, generate(t, m.NewSession(), ids, o))
			g, err := NewGenerator(m.NewSession(), ids, o)
			if err != nil {
				t.Fatal(err)
			}
			gs = append(gs, g)
		}
		add("package main\n\nimport (\n\t\"fmt\"\n)\n", GenerateOptions{MaxTokens: 12})
		add("func (", GenerateOptions{MaxTokens: 44, IgnoreEOG: true, Shift: true, Keep: 3})
		hot := GenerateOptions{MaxTokens: 12}
		hot.Sample.Temperature, hot.Sample.Seed = 0.8, 7
		add("type T struct {", hot)
		b := m.NewBatch()
		for step := 0; slices.ContainsFunc(gs, func(g *Generator) bool { return !g.Done() }); step++ {
			if step == 5 {
				add("// Package x is about the things that come later, in the middle of others", GenerateOptions{MaxTokens: 9})
			}
			var now []*Generator
			for _, g := range gs {
				if !g.Done() {
					now = append(now, g)
				}
			}
			if err := errors.Join(b.Step(t.Context(), now, 5)...); err != nil {
				t.Fatal(err)
			}
		}
		for i, g := range gs {
			got := g.Generation()
			if !slices.Equal(got.IDs, want[i].IDs) || got.Text != want[i].Text || got.Reason != want[i].Reason {
				t.Errorf("%s, generation %d: %+v, want %+v", name, i, got, want[i])
			}
		}
	}
}

// TestBatchErrors: a generation that fails leaves the others alone; a cancelled step fails for all and changes nothing.
func TestBatchErrors(t *testing.T) {
	m, tok := tiny(t, Options{})
	ids := prompt(t, tok, "package main\n")
	good, err := NewGenerator(m.NewSession(), ids, GenerateOptions{MaxTokens: 3})
	if err != nil {
		t.Fatal(err)
	}
	bad, err := NewGenerator(m.NewSession(), []int32{1, 1 << 20}, GenerateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	b := m.NewBatch()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if errs := b.Step(ctx, []*Generator{good}, 100); !errors.Is(errs[0], context.Canceled) || good.s.Len() != 0 {
		t.Errorf("cancelled: %v, %d tokens", errs, good.s.Len())
	}
	if errs := b.Step(t.Context(), []*Generator{bad, good}, 100); errs[0] == nil || errs[1] != nil || good.Generation().Tokens != 1 {
		t.Errorf("%v, %+v", errs, good.Generation())
	}
}

// TestCopyText: a text goes on in another session as it does in its own.
func TestCopyText(t *testing.T) {
	for name, m := range variants(t) {
		ids := sequence(t)
		a, b := m.NewSession(), m.NewSession()
		eval(t, b, ids[:5], WantNone)
		eval(t, a, ids[:20], WantNone)
		b.CopyText(a)
		if !slices.Equal(b.Tokens(), a.Tokens()) {
			t.Errorf("%s: %v, want %v", name, b.Tokens(), a.Tokens())
		}
		equalRows(t, name, eval(t, b, ids[20:30], WantAll).Logits, eval(t, a, ids[20:30], WantAll).Logits)
	}
}
