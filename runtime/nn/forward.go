package nn

import (
	"context"
	"fmt"
	"math"

	"github.com/moeconv/moeconv/runtime/kernel"
)

// forward appends tokens to the texts of s.parts. It returns the logits of the rows wanted.
func (s *State) forward(ctx context.Context, tokens []int32, wanted []int) (logits [][]float32, err error) {
	defer faults(&err)()
	p, w, n := s.d.Params, s.d.w, len(tokens)
	for _, t := range s.parts {
		t.extendRope(t.hi - t.lo)
		t.kept = -1 // until all blocks have been
	}
	s.ctx = ctx
	x := mat(&s.x, n, p.Embedding)
	if err := s.embed(x, tokens); err != nil {
		return nil, err
	}
	for il := range w.layers {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err := s.block(il, &w.layers[il], x, n); err != nil {
			return nil, err
		}
		if factor := w.layers[il].outScale; factor != nil {
			scale(x.Data, factor[0])
		}
		if err := s.finite(x, n, p.Embedding, fmt.Sprintf("block %d", il)); err != nil {
			return nil, err
		}
	}
	for i, row := range wanted {
		copy(x.Row(i, p.Embedding), x.Row(row, p.Embedding))
	}
	if logits, err = s.output(x, wanted); err != nil {
		return nil, err
	}
	for _, t := range s.parts {
		if s.d.forgets {
			t.text = append(t.text[:t.n], tokens[t.lo:t.hi]...)
		}
		t.n += t.hi - t.lo
		t.kept = t.n
	}
	return logits, nil
}

// embed makes rows of x the tokens' embeddings.
func (s *State) embed(x kernel.Mat, tokens []int32) error {
	p := s.d.Params
	for t, id := range tokens {
		s.d.w.embedding.row(x.Row(t, p.Embedding), int(id))
	}
	if p.EmbeddingScale != 1 {
		scale(x.Data, p.EmbeddingScale)
	}
	return s.finite(x, len(tokens), p.Embedding, "the embedding")
}

// block adds to x, n rows, what attention and feed-forward network of block il make of it.
func (s *State) block(il int, l *layer, x kernel.Mat, n int) error {
	if l.expertsNorm.weight != nil { // experts see what attention sees
		copy(mat(&s.before, n, x.Stride).Data, x.Data)
	}
	if l.mixes() {
		if err := s.mix(il, l, s.normalise(x, l.attnNorm, n)); err != nil {
			return err
		}
		s.addLayer(l.attnPost, n)
	}
	if l.expertPre.weight != nil {
		return s.besideExperts(il, l, x, n)
	}
	if l.dense.up != nil {
		if err := s.feedForward(l.dense, s.normalise(x, l.ffnNorm, n)); err != nil {
			return err
		}
		s.addLayer(l.ffnPost, n)
	}
	if l.router == nil {
		return nil
	}
	in := l.ffnNorm
	if l.expertsNorm.weight != nil {
		x, in = kernel.Mat{Data: s.before, Stride: x.Stride}, l.expertsNorm
	}
	if err := s.moe(il, l, s.normalise(x, in, n)); err != nil {
		return err
	}
	s.addLayer(l.ffnPost, n)
	return nil
}

// mix is what the block's attention, or what stands in its place, makes of in, in s.tmp.
func (s *State) mix(il int, l *layer, in *input) error {
	switch {
	case l.conv != nil:
		return s.shortConvolution(il, l, in)
	case l.mamba != nil:
		return s.mambaScan(il, l, in)
	case l.delta != nil:
		return s.gatedDeltaNet(il, l, in)
	case l.latent != nil:
		return s.latentAttention(il, l, in)
	}
	return s.selfAttention(il, l, in)
}

// feedForward is what a dense feed-forward network makes of in, in s.tmp.
func (s *State) feedForward(f ffn, in *input) error {
	n, width := in.n, f.up.rows
	gate, up, tmp := mat(&s.gate, n, width), mat(&s.up, n, width), mat(&s.tmp, n, s.d.Params.Embedding)
	b := batch{s: s}
	b.add(f.gate, in, gate)
	b.add(f.up, in, up)
	if err := b.run(); err != nil {
		return err
	}
	addBias(gate, f.gateBias, 0, n)
	addBias(up, f.upBias, 0, n)
	b.add(f.down, s.hidden.set(s.activate(f, gate, up, n, width), n, width), tmp)
	if err := b.run(); err != nil {
		return err
	}
	addBias(tmp, f.downBias, 0, n)
	return nil
}

// output is the logits of x, which is the rows wanted, in memory of the caller's own.
func (s *State) output(x kernel.Mat, wanted []int) ([][]float32, error) {
	n := len(wanted)
	if n == 0 {
		return nil, nil
	}
	vocab := s.d.Vocabulary()
	in := s.normalise(x, s.d.w.outputNorm, n)
	var data []float32
	logits := mat(&data, n, vocab)
	b := batch{s: s}
	b.add(s.d.w.output, in, logits)
	if err := b.run(); err != nil {
		return nil, err
	}
	addBias(logits, s.d.w.outputBias, 0, n)
	if div := s.d.Params.LogitsDiv; div != 1 {
		scale(data, 1/div)
	}
	if bound := s.d.Params.LogitsBound; bound > 0 {
		for i, v := range data {
			data[i] = bound * float32(math.Tanh(float64(v/bound)))
		}
	}
	out := make([][]float32, n)
	for t := range out {
		out[t] = logits.Row(t, vocab)
		if i := notFinite(out[t]); i >= 0 {
			return nil, &Number{s.position(wanted[t]), "the logits"}
		}
	}
	return out, nil
}

// addLayer adds n rows of a layer's result, s.tmp, to s.x: normalised and scaled where the model does.
func (s *State) addLayer(post norm, n int) {
	p := s.d.Params
	s.d.workers.rows(n, 2*p.Embedding, func(_, lo, hi int) {
		for t := lo; t < hi; t++ {
			row := s.tmp[t*p.Embedding:][:p.Embedding]
			if post.weight != nil {
				s.d.norm(row, row, post)
			}
			if p.Residual != 1 {
				scale(row, p.Residual)
			}
			add(s.x[t*p.Embedding:][:p.Embedding], row)
		}
	})
}

// finite fails with a *Number if a value of x is not.
func (s *State) finite(x kernel.Mat, n, cols int, where string) error {
	for t := range n {
		if notFinite(x.Row(t, cols)) >= 0 {
			return &Number{s.position(t), where}
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
