package nn

import "github.com/moeconv/moeconv/runtime/kernel"

// latentAttention is attention whose keys and values are made from one short vector a position (DeepSeek-V2, arXiv
// 2405.04434), in absorbed form: queries are carried to that vector's space, which is all that is cached, and the
// result from there to values. The result is in s.tmp.
func (s *State) latentAttention(il int, l *layer, in *input) error {
	p, m, w, n := s.d.Params, s.d.Params.Latent, l.latent, in.n
	width := p.Heads * m.KeyDim
	q, kv := mat(&s.wide, n, width), mat(&s.k, n, p.HeadDim)
	b := batch{s: s}
	b.add(w.kvA, in, kv)
	if w.qA == nil {
		b.add(l.q, in, q)
	} else if err := s.twoStepQuery(&b, w, in, q); err != nil {
		return err
	}
	if err := b.run(); err != nil {
		return err
	}
	s.splitLatent(l, q, kv, n)
	absorbed := mat(&s.q, n, p.Heads*p.HeadDim)
	b.addHeads(w.keyUp, s.heads.set(kernel.Mat{Data: s.nope, Stride: w.keyUp.cols}, n*p.Heads, w.keyUp.cols), absorbed, p.HeadDim)
	if err := b.run(); err != nil {
		return err
	}
	s.d.workers.rows(n, width, func(_, lo, hi int) {
		for t := lo; t < hi; t++ {
			for h := range p.Heads {
				copy(absorbed.Row(t, absorbed.Stride)[h*p.HeadDim+m.Rank:][:p.Rope.Dims], q.Row(t, width)[(h+1)*m.KeyDim-p.Rope.Dims:])
			}
		}
		s.tune(l, absorbed, lo, hi)
	})
	if err := s.attention(il, l, n); err != nil {
		return err
	}
	values := mat(&s.wide, n, p.Heads*m.ValueDim)
	b.addHeads(w.value, s.heads.set(kernel.Mat{Data: s.attn, Stride: m.Rank}, n*p.Heads, m.Rank), values, m.ValueDim)
	if err := b.run(); err != nil {
		return err
	}
	b.add(l.o, s.heads.set(values, n, values.Stride), mat(&s.tmp, n, p.Embedding))
	return b.run()
}

// twoStepQuery asks for queries by way of a short vector of their own.
func (s *State) twoStepQuery(b *batch, w *latent, in *input, q kernel.Mat) error {
	rank := w.qA.rows
	short := mat(&s.attn, in.n, rank)
	b.add(w.qA, in, short)
	if err := b.run(); err != nil {
		return err
	}
	s.normHeads(short, w.qNorm, 1, rank, 0, in.n)
	b.add(w.qB, s.heads.set(short, in.n, rank), q)
	return nil
}

// splitLatent rotates what is rotated, normalises the latent vectors, and sets apart the rest of the queries and, in
// s.v, the latent vectors, which are the values too.
func (s *State) splitLatent(l *layer, q, kv kernel.Mat, n int) {
	p, m := s.d.Params, s.d.Params.Latent
	plain := m.KeyDim - p.Rope.Dims
	nope, v := mat(&s.nope, n, p.Heads*plain), mat(&s.v, n, m.Rank)
	s.d.workers.rows(n, 4*q.Stride, func(_, lo, hi int) {
		if l.rotated {
			s.turn(l, q, p.Heads, m.KeyDim, plain, lo, hi)
			s.turn(l, kv, 1, p.HeadDim, m.Rank, lo, hi)
		}
		for t := lo; t < hi; t++ {
			short := kv.Row(t, m.Rank)
			rmsNorm(short, short, l.latent.kvNorm, p.Epsilon)
			copy(v.Row(t, m.Rank), short)
			for h := range p.Heads {
				copy(nope.Row(t, nope.Stride)[h*plain:][:plain], q.Row(t, q.Stride)[h*m.KeyDim:])
			}
		}
	})
}
