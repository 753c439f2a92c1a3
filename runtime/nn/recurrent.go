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

// replay brings what blocks keep of a text into line with its length: if that has been cut so far that it cannot be had
// from what is kept, or an evaluation failed, the text is evaluated again.
func (s *State) replay(ctx context.Context, q *sequence) error {
	if !s.d.forgets || q.whole() {
		return nil
	}
	text, routes := slices.Clone(q.text[:q.n]), s.routes
	q.n, q.kept, q.text, s.routes = 0, 0, q.text[:0], nil
	for i := range q.past {
		clear(q.past[i].conv)
		clear(q.past[i].net)
	}
	for tokens := range slices.Chunk(text, batchTokens) {
		s.parts = append(s.parts[:0], part{q, 0, len(tokens)})
		if _, err := s.forward(ctx, tokens, nil); err != nil {
			q.n, q.text = len(text), append(q.text[:0], text...)
			return err
		}
	}
	s.routes = routes
	return nil
}

// whole reports whether blocks keep what they need of the text.
func (q *sequence) whole() bool {
	if q.d.recurrent && q.kept != q.n {
		return false
	}
	for i := range q.caches {
		if q.caches[i].first > q.d.Params.seenFrom(&q.d.w.layers[i], q.n) {
			return q.n == 0
		}
	}
	return true
}

// reserveNets makes room for what block il keeps of each text in the net.
func (s *State) reserveNets(il, size int) {
	for _, p := range s.parts {
		if len(p.past[il].net) == 0 {
			p.past[il].net = make([]float32, size)
		}
	}
}

// eachRecurrent calls f for n rows in order, with what block il keeps of the row's text.
func (s *State) eachRecurrent(il, n int, f func(net []float32, row int)) {
	s.each(0, n, func(p *part, lo, hi int) {
		for t := lo; t < hi; t++ {
			f(p.past[il].net, t)
		}
	})
}

// convolve is a convolution of each of x's channels over the last positions, for n rows; weights are [channel][size].
// x is followed by what comes in later calls.
func (s *State) convolve(il int, x kernel.Mat, weights vector, n, channels, size int) kernel.Mat {
	out := mat(&s.convolved, n, channels)
	s.each(0, n, func(p *part, lo, hi int) {
		past := &p.past[il].conv
		if len(*past) == 0 {
			*past = make([]float32, (size-1)*channels)
		}
		all := mat(&s.window, size-1+hi-lo, channels)
		copy(all.Data, *past)
		for t := lo; t < hi; t++ {
			copy(all.Row(size-1+t-lo, channels), x.Row(t, channels))
		}
		copy(*past, all.Data[(hi-lo)*channels:])
		s.convolveRows(out.From(lo), all, weights, hi-lo, channels, size)
	})
	return out
}

// convolveRows makes n rows of out of as many and size-1 more of all.
func (s *State) convolveRows(out, all kernel.Mat, weights vector, n, channels, size int) {
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
}
