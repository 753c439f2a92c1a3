package nn

// shortConvolution is LFM2's gated convolution over the last positions: of its input's three parts b, c and x,
// c times the convolution of b times x. The result is in s.tmp. All of b times x is kept, so that texts can be cut.
func (s *State) shortConvolution(il int, l *layer, in *input) error {
	e, n, size := s.d.Params.Embedding, in.n, s.d.Params.Conv
	parts, tmp := mat(&s.q, n, 3*e), mat(&s.tmp, n, e)
	b := batch{s: s}
	b.add(l.conv.in, in, parts)
	if err := b.run(); err != nil {
		return err
	}
	past := &s.convs[il]
	*past = append((*past)[:s.n*e], make([]float32, n*e)...)
	out := mat(&s.attn, n, e)
	for t := range n {
		row, kept := parts.Row(t, 3*e), (*past)[(s.n+t)*e:][:e]
		for i := range kept {
			kept[i] = row[i] * row[2*e+i]
		}
	}
	s.d.workers.rows(n, 4*size*e, func(_, lo, hi int) {
		for t := lo; t < hi; t++ {
			c, dst := parts.Row(t, 3*e)[e:][:e], out.Row(t, e)
			clear(dst)
			for k := max(0, size-1-s.n-t); k < size; k++ {
				x := (*past)[(s.n+t-size+1+k)*e:][:e]
				for i := range dst {
					dst[i] += float32(x[i] * l.conv.kernel[i*size+k])
				}
			}
			for i := range dst {
				dst[i] *= c[i]
			}
		}
	})
	b.add(l.conv.out, s.heads.set(out, n, e), tmp)
	return b.run()
}
