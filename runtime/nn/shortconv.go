package nn

import "github.com/moeconv/moeconv/runtime/kernel"

// shortConvolution is LFM2's gated convolution over the last positions: of its input's three parts b, c and x,
// c times the convolution of b times x. The result is in s.tmp.
func (s *State) shortConvolution(il int, l *layer, in *input) error {
	e, n := s.d.Params.Embedding, in.n
	parts := mat(&s.wide, n, 3*e)
	b := batch{s: s}
	b.add(l.conv.in, in, parts)
	if err := b.run(); err != nil {
		return err
	}
	part := func(t, i int) []float32 { return parts.Row(t, 3*e)[i*e:][:e] }
	for t := range n {
		multiply(part(t, 0), part(t, 2))
	}
	out := s.convolve(il, kernel.Mat{Data: parts.Data, Stride: 3 * e}, l.conv.kernel, n, e, s.d.Params.Conv)
	for t := range n {
		multiply(out.Row(t, e), part(t, 1))
	}
	b.add(l.conv.out, s.heads.set(out, n, e), mat(&s.tmp, n, e))
	return b.run()
}

// multiply is x *= y.
func multiply(x, y []float32) {
	y = y[:len(x)]
	for i := range x {
		x[i] *= y[i]
	}
}
