package nn

import (
	"context"
	"fmt"
	"slices"

	"github.com/moeconv/moeconv/gguf/names"
	"github.com/moeconv/moeconv/runtime/kernel"
)

// Text is one of those that RunLayers runs, in runs of tokens that are computed together: as many calls of Eval.
type Text struct {
	Tokens []int32
	Ends   []int       // of the runs; the last is the end of what is computed
	Sums   []InputSums // by run; nil where nothing is summed up
}

// Layers is texts that have been carried through all blocks.
type Layers struct {
	Routes [][]int64 // [block][expert]; rows of dense blocks are nil
	s      *State
	texts  []Text
	hidden *hidden
}

// RunLayers carries texts through the model block by block, so that each weight is read once for all of them, whatever
// their number. Texts' hidden states of more than memory bytes in all lie in a temporary file.
func (d *Decoder) RunLayers(ctx context.Context, texts []Text, memory int64, done func(blocks, total int)) (*Layers, error) {
	s, p := d.NewState(), d.Params
	l := &Layers{Routes: make([][]int64, p.Blocks), s: s, texts: texts}
	s.routes = l.Routes
	var err error
	if l.hidden, err = newHidden(texts, p.Embedding, memory); err != nil {
		return nil, err
	}
	if err := d.read(ctx, d.src, []*matrix{d.w.embedding}, nil); err != nil {
		return nil, err
	}
	for i, t := range texts {
		x, err := l.hidden.get(i)
		if err == nil {
			err = s.embed(kernel.Mat{Data: x, Stride: p.Embedding}, t.Tokens[:len(x)/p.Embedding])
		}
		if err == nil {
			err = l.hidden.put(i, x)
		}
		if err != nil {
			return nil, err
		}
	}
	if d.w.embedding != d.w.output {
		d.w.embedding.release()
	}
	byBlock := make([][]*matrix, p.Blocks)
	for _, m := range d.matrices {
		if b := names.Parse(m.info.Name).Block; b >= 0 && b < p.Blocks && m != d.w.embedding && m != d.w.output {
			byBlock[b] = append(byBlock[b], m)
		}
	}
	for il, matrices := range byBlock {
		if err := l.block(ctx, il, matrices); err != nil {
			return nil, err
		}
		if done != nil {
			done(il+1, p.Blocks)
		}
	}
	if d.w.embedding == d.w.output {
		return l, nil
	}
	return l, d.read(ctx, d.src, []*matrix{d.w.output}, nil)
}

// release lets go of the weights.
func (m *matrix) release() { m.encoded, m.decoded = nil, nil }

// block carries all texts through block il.
func (l *Layers) block(ctx context.Context, il int, matrices []*matrix) error {
	s := l.s
	if err := s.d.read(ctx, s.d.src, matrices, nil); err != nil {
		return err
	}
	for i := range l.texts {
		if err := l.text(ctx, il, i); err != nil {
			return err
		}
	}
	for _, m := range matrices {
		m.release()
	}
	s.caches[il] = s.d.newCache(&s.d.w.layers[il])
	s.past[il] = recurrent{}
	return nil
}

// text carries text i through block il.
func (l *Layers) text(ctx context.Context, il, i int) error {
	s, e := l.s, l.s.d.Params.Embedding
	x, err := l.hidden.get(i)
	if err != nil {
		return err
	}
	s.n, s.past[il] = 0, recurrent{}
	for run, end := range l.texts[i].Ends {
		s.sums = nil
		if sums := l.texts[i].Sums; sums != nil {
			s.sums = sums[run]
		}
		for s.n < end {
			if err := ctx.Err(); err != nil {
				return err
			}
			n := min(end-s.n, batchTokens)
			s.parts = append(s.parts[:0], part{&s.sequence, 0, n})
			s.extendRope(n)
			s.x = x[s.n*e:][:n*e]
			m := kernel.Mat{Data: s.x, Stride: e}
			if err := s.block(il, &s.d.w.layers[il], m, n); err != nil {
				return err
			}
			if err := s.finite(m, n, e, fmt.Sprintf("block %d", il)); err != nil {
				return err
			}
			s.n += n
		}
	}
	return l.hidden.put(i, x)
}

// Hidden is the hidden states of text i after the last block, before the output norm, [position][embedding]; a copy.
func (l *Layers) Hidden(i int) ([]float32, error) {
	x, err := l.hidden.get(i)
	return slices.Clone(x), err
}

// Logits is those of positions from to to-1 of text i; sums may be nil.
func (l *Layers) Logits(i, from, to int, sums InputSums) ([][]float32, error) {
	x, err := l.hidden.get(i)
	if err != nil {
		return nil, err
	}
	e := l.s.d.Params.Embedding
	l.s.n, l.s.sums = from, sums
	l.s.parts = append(l.s.parts[:0], part{&l.s.sequence, 0, to - from})
	return l.s.output(kernel.Mat{Data: x[from*e : to*e], Stride: e}, upTo(0, to-from))
}
