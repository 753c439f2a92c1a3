package nn

import (
	"context"
	"fmt"
	"math"

	"github.com/moeconv/moeconv/runtime/kernel"
)

// forward appends tokens, at most batchTokens, to the text. It returns the logits of those from index first on.
func (s *State) forward(ctx context.Context, tokens []int32, first int) ([][]float32, error) {
	p, w, n := s.d.Params, s.d.w, len(tokens)
	s.rope.extend(p, w.ropeFreqs, s.n+n)
	x := mat(&s.x, n, p.Embedding)
	for t, id := range tokens {
		w.embedding.row(x.Row(t, p.Embedding), int(id))
	}
	if err := s.finite(x, n, p.Embedding, "the embedding"); err != nil {
		return nil, err
	}
	for il := range w.layers {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		l := &w.layers[il]
		if err := s.selfAttention(il, l, s.normalise(x, l.attnNorm, n)); err != nil {
			return nil, err
		}
		in := s.normalise(x, l.ffnNorm, n)
		err := error(nil)
		if l.router != nil {
			err = s.moe(il, l, in)
		} else {
			err = s.feedForward(l.dense, in)
		}
		if err != nil {
			return nil, err
		}
		if err := s.finite(x, n, p.Embedding, fmt.Sprintf("block %d", il)); err != nil {
			return nil, err
		}
	}
	logits, err := s.output(x, n, min(first, n))
	if err == nil {
		s.n += n
	}
	return logits, err
}

// selfAttention adds to s.x what the block's attention makes of in.
func (s *State) selfAttention(il int, l *layer, in *input) error {
	p, n := s.d.Params, in.n
	width, kvWidth := p.Heads*p.HeadDim, p.KVHeads*p.HeadDim
	q, k, v := mat(&s.q, n, width), mat(&s.k, n, kvWidth), mat(&s.v, n, kvWidth)
	b := batch{s: s}
	b.add(l.q, in, q)
	b.add(l.k, in, k)
	b.add(l.v, in, v)
	if err := b.run(); err != nil {
		return err
	}
	s.d.workers.rows(n, 4*(width+kvWidth), func(_, lo, hi int) {
		addBias(q, l.qBias, lo, hi)
		addBias(k, l.kBias, lo, hi)
		addBias(v, l.vBias, lo, hi)
		s.rope.turn(p, q, p.Heads, s.n, lo, hi)
		s.rope.turn(p, k, p.KVHeads, s.n, lo, hi)
	})
	out := mat(&s.attn, n, width)
	if err := s.attention(il, n); err != nil {
		return err
	}
	tmp := mat(&s.tmp, n, p.Embedding)
	b.add(l.o, s.heads.set(out, n, width), tmp)
	if err := b.run(); err != nil {
		return err
	}
	addBias(tmp, l.oBias, 0, n)
	s.addTo(s.x, tmp.Data, n)
	return nil
}

// feedForward adds to s.x what a dense feed-forward network makes of in.
func (s *State) feedForward(f ffn, in *input) error {
	p, n := s.d.Params, in.n
	width := f.up.rows
	gate, up, tmp := mat(&s.gate, n, width), mat(&s.up, n, width), mat(&s.tmp, n, p.Embedding)
	b := batch{s: s}
	b.add(f.gate, in, gate)
	b.add(f.up, in, up)
	if err := b.run(); err != nil {
		return err
	}
	s.activate(gate, up, n, width)
	b.add(f.down, s.hidden.set(gate, n, width), tmp)
	if err := b.run(); err != nil {
		return err
	}
	s.addTo(s.x, tmp.Data, n)
	return nil
}

// output is the logits of rows first to n-1 of x, in memory of the caller's own.
func (s *State) output(x kernel.Mat, n, first int) ([][]float32, error) {
	if first == n {
		return nil, nil
	}
	vocab := s.d.Vocabulary()
	in := s.normalise(x.From(first), s.d.w.outputNorm, n-first)
	var data []float32
	logits := mat(&data, n-first, vocab)
	b := batch{s: s}
	b.add(s.d.w.output, in, logits)
	if err := b.run(); err != nil {
		return nil, err
	}
	out := make([][]float32, n-first)
	for t := range out {
		out[t] = logits.Row(t, vocab)
		if i := notFinite(out[t]); i >= 0 {
			return nil, &Number{s.n + first + t, "the logits"}
		}
	}
	return out, nil
}

// normalise is RMSNorm: x / sqrt(mean(x*x) + epsilon) * weight, as the next layer's input.
func (s *State) normalise(x kernel.Mat, weight vector, n int) *input {
	p := s.d.Params
	out := mat(&s.norm, n, p.Embedding)
	s.d.workers.rows(n, 4*p.Embedding, func(_, lo, hi int) {
		for t := lo; t < hi; t++ {
			src, dst := x.Row(t, p.Embedding), out.Row(t, p.Embedding)
			sum := 0.0
			for _, v := range src {
				sum += float64(v) * float64(v)
			}
			scale := float32(1 / math.Sqrt(float64(float32(sum/float64(p.Embedding))+p.Epsilon)))
			for i, v := range src {
				dst[i] = v * scale * weight[i]
			}
		}
	})
	return s.in.set(out, n, p.Embedding)
}

// activate is gate = silu(gate) * up for n rows.
func (s *State) activate(gate, up kernel.Mat, n, width int) {
	s.d.workers.rows(n, 8*width, func(_, lo, hi int) {
		for t := lo; t < hi; t++ {
			kernel.SiLU(gate.Row(t, width), up.Row(t, width))
		}
	})
}

// finite fails with a *Number if a value of x is not.
func (s *State) finite(x kernel.Mat, n, cols int, where string) error {
	for t := range n {
		if notFinite(x.Row(t, cols)) >= 0 {
			return &Number{s.n + t, where}
		}
	}
	return nil
}

// notFinite is the index of the first NaN or infinity in x, -1 if there is none.
func notFinite(x []float32) int {
	for i, v := range x {
		if v-v != 0 {
			return i
		}
	}
	return -1
}

// addTo is x += y for n rows of the embedding's length.
func (s *State) addTo(x, y []float32, n int) {
	e := s.d.Params.Embedding
	s.d.workers.rows(n, e, func(_, lo, hi int) { add(x[lo*e:hi*e], y[lo*e:hi*e]) })
}

// add is x += y.
func add(x, y []float32) {
	y = y[:len(x)]
	for i := range x {
		x[i] += y[i]
	}
}

// addBias adds b, if there is one, to rows lo to hi of x.
func addBias(x kernel.Mat, b vector, lo, hi int) {
	if b == nil {
		return
	}
	for t := lo; t < hi; t++ {
		add(x.Row(t, len(b)), b)
	}
}
