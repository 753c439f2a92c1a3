package nn

import (
	"fmt"
	"math"

	"github.com/moeconv/moeconv/convert/family"
	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/runtime/kernel"
)

// selfAttention is what the block's attention makes of in, in s.tmp.
func (s *State) selfAttention(il int, l *layer, in *input) error {
	p, n := s.d.Params, in.n
	q, k, v := mat(&s.q, n, p.Heads*l.keyDim), mat(&s.k, n, l.kvHeads*l.keyDim), mat(&s.v, n, l.kvHeads*l.valueDim)
	b := batch{s: s}
	if l.gatedQ {
		b.add(l.q, in, mat(&s.wide, n, 2*q.Stride))
	} else {
		b.add(l.q, in, q)
	}
	b.add(l.k, in, k)
	b.add(l.v, in, v)
	if l.gate != nil {
		b.add(l.gate, in, mat(&s.gate, n, p.Heads*l.valueDim))
	}
	if err := b.run(); err != nil {
		return err
	}
	if l.gatedQ {
		s.splitQuery(l, q, n)
	}
	s.d.workers.rows(n, 4*(q.Stride+k.Stride), func(_, lo, hi int) {
		addBias(q, l.qBias, lo, hi)
		addBias(k, l.kBias, lo, hi)
		addBias(v, l.vBias, lo, hi)
		for _, m := range []kernel.Mat{q, k, v} {
			clamp(m.Data[lo*m.Stride:hi*m.Stride], p.Clamp)
		}
		if p.Graph.NormValues {
			s.placeValues(l, k, v, lo, hi)
		}
		s.place(l, q, l.qNorm, p.Heads, lo, hi)
		s.place(l, k, l.kNorm, l.kvHeads, lo, hi)
		s.tune(l, q, lo, hi)
	})
	if err := s.attention(il, l, n); err != nil {
		return err
	}
	out := kernel.Mat{Data: s.attn, Stride: p.Heads * l.valueDim}
	if l.gate != nil || l.gatedQ {
		s.d.workers.rows(n, 4*out.Stride, func(_, lo, hi int) {
			sigmoidTimes(out.Data[lo*out.Stride:hi*out.Stride], s.gate[lo*out.Stride:hi*out.Stride])
		})
	}
	tmp := mat(&s.tmp, n, p.Embedding)
	b.add(l.o, s.heads.set(out, n, out.Stride), tmp)
	if err := b.run(); err != nil {
		return err
	}
	addBias(tmp, l.oBias, 0, n)
	return nil
}

// splitQuery parts each head's query from the gate of its result.
func (s *State) splitQuery(l *layer, q kernel.Mat, n int) {
	dim, gate := l.keyDim, mat(&s.gate, n, q.Stride)
	for i := range len(q.Data) / dim {
		copy(q.Data[i*dim:][:dim], s.wide[2*i*dim:])
		copy(gate.Data[i*dim:][:dim], s.wide[(2*i+1)*dim:])
	}
}

// place normalises and rotates rows lo to hi of queries or keys, in the family's order.
func (s *State) place(l *layer, x kernel.Mat, w vector, heads, lo, hi int) {
	p := s.d.Params
	if w != nil && p.Graph.QKNorm == family.QKNormFirst {
		s.normHeads(x, w, heads, l.keyDim, lo, hi)
	}
	if l.rotated {
		s.turn(l, x, heads, l.keyDim, 0, lo, hi)
	}
	if w != nil && p.Graph.QKNorm == family.QKNormLast || l.rotated && p.Graph.QKNorm == family.QKNormPlain {
		s.normHeads(x, w, heads, l.keyDim, lo, hi)
	}
}

// placeValues normalises values, which are the keys where the block has none of its own.
func (s *State) placeValues(l *layer, k, v kernel.Mat, lo, hi int) {
	if l.v == nil {
		copy(v.Data[lo*v.Stride:hi*v.Stride], k.Data[lo*k.Stride:hi*k.Stride])
	}
	s.normHeads(v, nil, l.kvHeads, l.valueDim, lo, hi)
}

// tune scales rows lo to hi of queries by their positions, where the family does.
func (s *State) tune(l *layer, q kernel.Mat, lo, hi int) {
	t := s.d.Params.Tune
	if t.Scale == 0 || l.rotated && t.Unturned {
		return
	}
	s.each(lo, hi, func(p *part, lo, hi int) {
		for r := lo; r < hi; r++ {
			f := float32(1 + float64(t.Scale)*math.Log(1+math.Floor(float64(p.position(r)+t.Offset)/float64(t.Length))))
			scale(q.Row(r, q.Stride), f)
		}
	})
}

// attention computes s.attn from s.q, s.k and s.v of n tokens, after storing keys and values in their texts' caches.
func (s *State) attention(il int, l *layer, n int) error {
	p := s.d.Params
	for _, t := range s.parts {
		keep, limit := 0, s.d.opts.Context
		if l.windowed && !s.d.opts.FullWindows {
			keep, limit = p.seenFrom(l, t.n), min(limit, windowCells(p.Window))
		}
		t.caches[il].reserve(t.position(t.hi), t.n, keep, limit)
	}
	if err := s.store(il, l, n); err != nil {
		return err
	}
	mat(&s.attn, n, p.Heads*l.valueDim)
	group := p.Heads / l.kvHeads
	if l.latent != nil || s.d.opts.KV.BlockLen() > 1 { // a head's keys and values are made once for all that use them
		s.attendMade(il, l, group)
		return nil
	}
	const step = 48 // tokens a task
	share := max(1, min(group, p.Heads/s.d.workers.n))
	var tasks []task
	cost := 0
	for i := range s.parts {
		t := &s.parts[i]
		for h := range l.kvHeads {
			tasks = tasksOf(tasks, t, h*group, group, share, step)
		}
		cost += p.Heads * (t.hi - t.lo) * t.position(t.hi) * l.keyDim
	}
	workers{min(s.d.workers.n, 1+cost/grain)}.run(len(tasks), func(worker, i int) {
		b := tasks[i]
		c := &b.t.caches[il]
		k, v := c.head(b.head/group, b.t.position(b.t.hi), true, nil, workers{1})
		s.attend(worker, l, b, c.first, k, v)
	})
	return nil
}

// task is queries of a text that are computed together: a head's of tokens lo to hi-1, or one token's of several heads
// that use the same keys.
type task struct {
	t           *part
	lo, hi      int
	head, heads int
}

// tasksOf adds the tasks of n heads from first on, which use the same keys: one token's of share heads each, others of one
// head and at most step tokens.
func tasksOf(tasks []task, t *part, first, n, share, step int) []task {
	if t.hi-t.lo > 1 {
		share = 1
	}
	for h := first; h < first+n; h += share {
		for lo := t.lo; lo < t.hi; lo += step {
			tasks = append(tasks, task{t, lo, min(t.hi, lo+step), h, min(share, first+n-h)})
		}
	}
	return tasks
}

// attendMade is attention where keys and values are first made from what the caches have: by a worker that then computes all
// heads that use them, or, where there are fewer of them than workers, by all workers together.
func (s *State) attendMade(il int, l *layer, group int) {
	if len(s.parts)*l.kvHeads >= s.d.workers.n {
		s.d.workers.run(len(s.parts)*l.kvHeads, func(worker, i int) {
			t, h := &s.parts[i/l.kvHeads], i%l.kvHeads
			c := &t.caches[il]
			k, v := c.head(h, t.position(t.hi), few(t, group), &s.kv[worker], workers{1})
			for _, b := range tasksOf(nil, t, h*group, group, group, t.hi-t.lo) {
				s.attend(worker, l, b, c.first, k, v)
			}
		})
		return
	}
	share := max(1, group/s.d.workers.n)
	for i := range s.parts {
		t := &s.parts[i]
		c := &t.caches[il]
		for h := range l.kvHeads {
			k, v := c.head(h, t.position(t.hi), few(t, group), &s.kv[0], s.d.workers)
			tasks := tasksOf(nil, t, h*group, group, share, t.hi-t.lo)
			s.d.workers.run(len(tasks), func(worker, i int) { s.attend(worker, l, tasks[i], c.first, k, v) })
		}
	}
}

// few reports whether so few multiplications are made with a head's values that they are not worth being decoded for.
func few(t *part, group int) bool { return (t.hi-t.lo)*group <= 4 }

// store puts s.k and s.v into the caches.
func (s *State) store(il int, l *layer, n int) error {
	keys, values := l.kvHeads*l.keyDim, l.kvHeads*l.valueDim
	errs := make([]error, n)
	s.d.workers.rows(n, 2*(keys+values), func(worker, lo, hi int) {
		s.each(lo, hi, func(p *part, lo, hi int) {
			for t := lo; t < hi; t++ {
				errs[t] = p.caches[il].put(&s.rounders[worker], s.k[t*keys:][:keys], s.v[t*values:][:values], p.position(t))
			}
		})
	})
	for t, err := range errs {
		if err != nil {
			return fmt.Errorf("nn: position %d: KV cache of block %d: %w", s.position(t), il, err)
		}
	}
	return nil
}

// scoreElements bounds the attention weights computed together.
const scoreElements = 1 << 17

// attend computes a task: softmax(scale*q*k) * v over the positions that each token sees. k and v begin with position base.
func (s *State) attend(worker int, l *layer, b task, base int, k, v rows) {
	p, t := s.d.Params, b.t
	width, outWidth, n := l.keyDim, l.valueDim, b.heads
	if b.heads == 1 {
		width, outWidth, n = p.Heads*width, p.Heads*outWidth, b.hi-b.lo
	}
	q := kernel.Mat{Data: s.q[(b.lo*p.Heads+b.head)*l.keyDim:], Stride: width}
	out := kernel.Mat{Data: s.attn[(b.lo*p.Heads+b.head)*l.valueDim:], Stride: outWidth}
	for at := 0; at < n; {
		step := min(n-at, max(1, scoreElements/t.position(b.hi)))
		from, to := b.row(at), b.row(at+step-1)
		// Sums run in eight lanes: a first position that is a multiple of eight, and zeros behind the last, leave them as
		// they are.
		first := p.seenFrom(l, t.position(from.lo)) &^ 7
		positions := t.position(to.lo) + 1 - first
		scores := mat(&s.scores[worker], step, positions+8) // with room for a sink
		if keys := k.from(first-base, 0); keys.blocks != nil {
			s.scoreBlocks(worker, scores, keys.blocks[:positions*keys.size], q.From(at), positions, step, l.keyDim)
		} else {
			keys.multiply(scores, q.From(at), positions, step, l.keyDim)
		}
		for r := range step {
			row := b.row(at + r)
			s.weigh(l, scores.Row(r, scores.Stride), row.head, t.position(row.lo), first)
		}
		if values := v.from(0, first-base); values.blocks != nil {
			for r := range step {
				kernel.SumRows(out.Row(at+r, l.valueDim), values.blocks, values.size, scores.Row(r, positions), &s.scratch[worker])
			}
		} else {
			values.multiply(out.From(at), scores, l.valueDim, step, v.columns(positions))
		}
		at += step
	}
}

// row is query number r by itself.
func (b task) row(r int) task {
	if b.heads == 1 {
		return task{b.t, b.lo + r, b.lo + r + 1, b.head, 1}
	}
	return task{b.t, b.lo, b.hi, b.head + r, 1}
}

// weigh makes of a head's products, which begin with position first, the weights of the positions that one at pos sees.
func (s *State) weigh(l *layer, row []float32, head, pos, first int) {
	p := s.d.Params
	from, to := p.seenFrom(l, pos)-first, pos+1-first
	if l.sinks != nil {
		row[to] = l.sinks[head] / p.Scale
		kernel.Softmax(row[from:to+1], p.Scale)
	} else {
		kernel.Softmax(row[from:to], p.Scale)
	}
	clear(row[:from])
	clear(row[to:])
}

// scoreBlocks multiplies keys in blocks with queries, which are rounded to such, as the reference does.
func (s *State) scoreBlocks(worker int, scores kernel.Mat, keys []byte, q kernel.Mat, positions, n, dim int) {
	x := &s.queries[worker]
	x.Reset(gguf.Q8_0, n, dim)
	for r := range n {
		if row := q.Row(r, dim); x.Put(r, row) != nil { // a value that is too large: the text fails for what comes of it
			row[0] = float32(math.NaN())
			x.Put(r, row) // which can hold that
		}
	}
	kernel.MatMulEncoded(scores, gguf.Q8_0, keys, *x, positions, n, &s.scratch[worker])
}

// seenFrom is the first position that one at pos attends to.
func (p *Params) seenFrom(l *layer, pos int) int {
	switch {
	case !l.windowed:
		return 0
	case p.Graph.Windows.Kind == family.WindowChunked:
		return pos / p.Window * p.Window
	}
	return max(0, pos-p.Window+1)
}
