package nn

import (
	"context"
	"slices"

	"github.com/moeconv/moeconv/runtime/kernel"
)

// recurrent is what a block keeps of the text in place of keys and values: it cannot be cut, only made anew.
type recurrent struct {
	conv []float32 // [positions-1][channels]: the last inputs of a convolution
	net  []float32 // [head][value dim][key dim] of a gated delta net
}

// replay brings what blocks keep of the text into line with its length: if that has been cut, or an evaluation failed,
// the text is evaluated again.
func (s *State) replay(ctx context.Context) error {
	if !s.d.recurrent || s.kept == s.n {
		return nil
	}
	text, routes := slices.Clone(s.text[:s.n]), s.routes
	s.n, s.kept, s.routes, s.text = 0, 0, nil, s.text[:0]
	for i := range s.past {
		clear(s.past[i].conv)
		clear(s.past[i].net)
	}
	for part := range slices.Chunk(text, batchTokens) {
		if _, err := s.forward(ctx, part, len(part)); err != nil {
			s.n, s.text = len(text), append(s.text[:0], text...)
			return err
		}
	}
	s.routes = routes
	return nil
}

// convolve is a convolution of each of x's channels over the last positions, for n rows; weights are [channel][size].
// x is followed by what comes in later calls.
func (s *State) convolve(il int, x kernel.Mat, weights vector, n, channels, size int) kernel.Mat {
	past := &s.past[il].conv
	if *past == nil {
		*past = make([]float32, (size-1)*channels)
	}
	all := mat(&s.window, size-1+n, channels)
	copy(all.Data, *past)
	for t := range n {
		copy(all.Row(size-1+t, channels), x.Row(t, channels))
	}
	copy(*past, all.Data[n*channels:])
	out := mat(&s.convolved, n, channels)
	s.d.workers.rows(n, 2*size*channels, func(_, lo, hi int) {
		for t := lo; t < hi; t++ {
			dst := out.Row(t, channels)
			clear(dst)
			for k := range size {
				for i, v := range all.Row(t+k, channels) {
					dst[i] += float32(v * weights[i*size+k])
				}
			}
		}
	})
	return out
}
