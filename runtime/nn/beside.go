package nn

import (
	"math"

	"github.com/moeconv/moeconv/runtime/kernel"
)

// besideExperts adds to x, n rows, the sum of a dense network and of experts beside it, each behind norms of its own
// and followed by one, and the sum by another (Gemma 4).
func (s *State) besideExperts(il int, l *layer, x kernel.Mat, n int) error {
	e := s.d.Params.Embedding
	if err := s.feedForward(l.dense, s.normalise(x, l.ffnNorm, n)); err != nil {
		return err
	}
	dense := mat(&s.before, n, e)
	for t := range n {
		s.d.norm(dense.Row(t, e), s.tmp[t*e:][:e], l.densePost)
	}
	if err := s.moe(il, l, s.normalise(x, l.expertPre, n)); err != nil {
		return err
	}
	for t := range n {
		row := s.tmp[t*e:][:e]
		s.d.norm(row, row, l.expertPost)
		add(row, dense.Row(t, e))
	}
	s.addLayer(l.ffnPost, n)
	return nil
}

// routerInput is what the router of such experts sees: s.x over its root mean square and the square root of its
// length, scaled.
func (s *State) routerInput(l *layer, n int) *input {
	p := s.d.Params
	out := mat(&s.attn, n, p.Embedding)
	by := float32(1 / math.Sqrt(float64(p.Embedding)))
	for t := range n {
		row := out.Row(t, p.Embedding)
		rmsNorm(row, s.x[t*p.Embedding:][:p.Embedding], nil, p.Epsilon)
		for i := range row {
			row[i] = row[i] * by * l.routerScale[i]
		}
	}
	return s.heads.set(out, n, p.Embedding)
}
