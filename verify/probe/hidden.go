package probe

import (
	"context"
	"fmt"
	"math"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/runtime"
	"github.com/moeconv/moeconv/runtime/token"
	"github.com/moeconv/moeconv/verify"
)

// HiddenWarn is the cosine of hidden states below which a file is worth a look. The trained tiny model has 0.996 as Q4_K_M and 0.63 without attention.
const HiddenWarn = 0.95

// hiddenCheck compares the mean of the final hidden states over each probe's prompt with the source's, by their cosine.
func (s *Suite) hiddenCheck() verify.Check {
	return verify.Check{Name: "hidden", Run: func(ctx context.Context, sub *verify.Subject) verify.Result {
		if sub.Reference == nil || s.opts.Engine != nil {
			return verify.NewResult(verify.NotApplicable, "no source, or no file to hold against it")
		}
		got, err := s.hidden(ctx, sub, sub.Source, runtime.ActivationsIntegers)
		if err != nil {
			return verify.NewResult(verify.Fail, err.Error())
		}
		want := s.states[sub.Reference]
		if want == nil {
			if want, err = s.hidden(ctx, sub, sub.Reference, runtime.ActivationsF32); err != nil {
				return verify.NewResult(verify.Fail, err.Error())
			}
			s.states[sub.Reference] = want
		}
		least, mean := 1.0, 0.0
		for i := range got {
			c := Cosine(got[i], want[i])
			least = min(least, c)
			mean += c / float64(len(got))
		}
		r := verify.Resultf(verify.Pass, "cosine with the source's over %d prompts: mean %.6f, least %.6f", len(got), mean, least)
		r.Figure, r.Threshold = verify.Number(least), HiddenWarn
		r.Figures = map[string]verify.Number{"mean": verify.Number(mean), "prompts": verify.Number(len(got))}
		if !(least >= HiddenWarn) {
			r.Status = verify.Warn
		}
		return r
	}}
}

// hidden is the mean final hidden state of each prompt, the model read a block at a time.
func (s *Suite) hidden(ctx context.Context, sub *verify.Subject, src gguf.Source, a runtime.Activations) ([][]float64, error) {
	o := sub.Runtime
	o.Activations, o.KV, o.Layers, o.Log = a, gguf.F32, true, nil
	m, err := runtime.Load(src, o.Fitted())
	if err != nil {
		return nil, fmt.Errorf("probe: %w", err)
	}
	defer m.Close()
	tok, err := m.Tokenizer()
	if err != nil {
		return nil, fmt.Errorf("probe: %w", err)
	}
	var texts []runtime.LayerText
	for _, p := range s.probes {
		ids, err := tok.Encode(p.Prompt, token.Options{AddSpecial: true})
		if err != nil {
			return nil, fmt.Errorf("probe: %s: %w", p.Name, err)
		}
		texts = append(texts, runtime.LayerText{Tokens: ids, Ends: []int{len(ids)}})
	}
	run, err := m.RunLayers(ctx, texts, nil)
	if err != nil {
		return nil, fmt.Errorf("probe: %w", err)
	}
	out := make([][]float64, len(texts))
	for i, t := range texts {
		x, err := run.Hidden(i)
		if err != nil {
			return nil, fmt.Errorf("probe: %w", err)
		}
		out[i] = make([]float64, len(x)/len(t.Tokens))
		for j, v := range x {
			out[i][j%len(out[i])] += float64(v) / float64(len(t.Tokens))
		}
	}
	return out, nil
}

// Cosine is that of the angle between two vectors of one length; 0 where one is zero.
func Cosine(a, b []float64) float64 {
	var ab, aa, bb float64
	for i := range a {
		ab += a[i] * b[i]
		aa += a[i] * a[i]
		bb += b[i] * b[i]
	}
	if aa == 0 || bb == 0 {
		return 0
	}
	return ab / math.Sqrt(aa*bb)
}
