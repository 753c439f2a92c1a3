package nn

import (
	"fmt"
	"math"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/runtime/kernel"
)

// attention computes s.attn from s.q, s.k and s.v of n tokens at positions s.n on, after storing keys and values.
func (s *State) attention(il, n int) error {
	p, c := s.d.Params, &s.caches[il]
	c.reserve(s.n+n, s.n, s.d.opts.Context)
	width := p.KVHeads * p.HeadDim
	errs := make([]error, n)
	s.d.workers.rows(n, 4*width, func(worker, lo, hi int) {
		for t := lo; t < hi; t++ {
			errs[t] = c.put(&s.rounders[worker], s.k[t*width:][:width], s.v[t*width:][:width], s.n+t)
		}
	})
	for t, err := range errs {
		if err != nil {
			return fmt.Errorf("nn: position %d: KV cache of block %d: %w", s.n+t, il, err)
		}
	}
	group := p.Heads / p.KVHeads
	if c.kind != gguf.F32 { // a head's keys and values are decoded once for all that use them
		s.d.workers.run(p.KVHeads, func(worker, h int) {
			k, v := c.head(h, s.n+n, &s.kv[worker])
			for i := range group {
				s.attend(worker, h*group+i, 0, n, k, v)
			}
		})
		return nil
	}
	const step = 48 // tokens a task
	blocks := (n + step - 1) / step
	tasks := workers{min(s.d.workers.n, 1+p.Heads*n*(s.n+n)*p.HeadDim/grain)}
	tasks.run(p.Heads*blocks, func(worker, i int) {
		h, t := i/blocks, i%blocks*step
		k, v := c.head(h/group, s.n+n, nil)
		s.attend(worker, h, t, min(n, t+step), k, v)
	})
	return nil
}

// scoreElements bounds the attention weights computed together.
const scoreElements = 1 << 17

// attend computes head h of tokens lo to hi: softmax(q*k/sqrt(dim)) * v over the positions up to each token's own.
func (s *State) attend(worker, h, lo, hi int, k, v kernel.Mat) {
	p := s.d.Params
	scale := float32(1 / math.Sqrt(float64(p.HeadDim)))
	width := p.Heads * p.HeadDim
	q := kernel.Mat{Data: s.q[h*p.HeadDim:], Stride: width}
	out := kernel.Mat{Data: s.attn[h*p.HeadDim:], Stride: width}
	for lo < hi {
		step := min(hi-lo, max(1, scoreElements/(s.n+hi)))
		positions := s.n + lo + step
		scores := mat(&s.scores[worker], step, positions)
		kernel.MatMul(scores, k, q.From(lo), positions, step, p.HeadDim)
		for t := range step {
			seen := s.n + lo + t + 1
			row := scores.Row(t, positions)
			kernel.Softmax(row[:seen], scale)
			clear(row[seen:])
		}
		kernel.MatMul(out.From(lo), v, scores, p.HeadDim, step, positions)
		lo += step
	}
}
