package nn

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/runtime/kernel"
)

// batchTokens is how many tokens are computed together; longer inputs are cut.
const batchTokens = 512

// State is one text being evaluated: its KV cache, and memory to compute in that grows to the largest batch seen.
type State struct {
	d      *Decoder
	n      int // tokens in the text
	caches []cache
	past   []recurrent // by block, of text[:kept]
	text   []int32     // of models that are recurrent
	kept   int
	ropes  []ropeTable // of Decoder.freqs
	long   bool        // the text is longer than those of training (Graph.Original)
	routes [][]int64   // [block][expert]; nil: not counted
	sums   InputSums   // nil: not summed

	x, norm, tmp []float32 // [token][embedding]
	q, attn      []float32 // [token][head][head dim]
	k, v         []float32 // [token][kv head][head dim]
	wide         []float32 // [token][projections that are split]
	window       []float32 // [position][channel]
	convolved    []float32 // [token][channel]
	rates        []float32 // [token][2*head] of gated delta nets
	nope         []float32 // [token][head]: what is not rotated of a query of latent attention
	before       []float32 // [token][embedding]: what the block was given
	gate, up     []float32 // [token or use][width]

	route                routing
	gathered, experts    []float32 // [use][embedding]: what experts are given and what they return
	shared               []float32 // [token][embedding]: what shared experts return
	sharedGate, sharedUp []float32 // [token][width]
	sharedWeight         []float32 // [token]

	in, heads, hidden, gatheredIn, sharedHidden input

	tileEnds []int
	tiles    [][]float32      // by worker: decoded tile
	scores   [][]float32      // by worker: attention weights
	kv       [][2][]float32   // by worker: decoded keys and values of a head
	scratch  []kernel.Scratch // by worker: unpacked rows
	rounders []kernel.Rounder // by worker
}

// NewState starts an empty text.
func (d *Decoder) NewState() *State {
	n := d.workers.n
	s := &State{d: d, tiles: make([][]float32, n), scores: make([][]float32, n), kv: make([][2][]float32, n),
		scratch: make([]kernel.Scratch, n), rounders: make([]kernel.Rounder, n), caches: make([]cache, d.Params.Blocks)}
	for i := range s.caches {
		s.caches[i] = cache{kind: d.opts.KV, heads: d.w.layers[i].kvHeads, keyDim: d.w.layers[i].keyDim, valueDim: d.w.layers[i].valueDim}
	}
	s.past = make([]recurrent, d.Params.Blocks)
	for _, f := range d.freqs {
		s.ropes = append(s.ropes, ropeTable{frequencies: f})
	}
	return s
}

// Len is the number of tokens in the text.
func (s *State) Len() int { return s.n }

// Truncate shortens the text to its first n tokens, of 0 to Len.
func (s *State) Truncate(n int) { s.n = min(s.n, max(0, n)) }

// Number says where a value stopped being finite.
type Number struct {
	Position int    // in the text
	Where    string // "the embedding", "block 2", "the logits"
}

func (e *Number) Error() string {
	return fmt.Sprintf("nn: position %d: a value of %s is not finite", e.Position, e.Where)
}

// Result is what Eval computes.
type Result struct {
	Logits [][]float32 // [token wanted][vocabulary]
	Routes [][]int64   // [block][expert]; rows of dense blocks are nil
}

// Eval appends tokens, each below Vocabulary, to the text and computes the logits of those from index first on;
// first may be len(tokens). The text stays as it was if it fails: with ctx's error or a *Number.
// The caller sees to it that the text does not outgrow Options.Context.
func (s *State) Eval(ctx context.Context, tokens []int32, first int, routes bool) (Result, error) {
	var r Result
	if s.d.opts.Layers {
		return r, errors.New("nn: a model whose blocks are read one after the other runs whole texts alone")
	}
	s.routes = nil
	if err := s.replay(ctx); err != nil {
		return r, err
	}
	if routes {
		r.Routes = make([][]int64, s.d.Params.Blocks)
		s.routes = r.Routes
	}
	start := s.n
	for lo := 0; lo < len(tokens); lo += batchTokens {
		hi := min(len(tokens), lo+batchTokens)
		logits, err := s.forward(ctx, tokens[lo:hi], max(0, first-lo))
		if err != nil {
			s.n = start
			return Result{}, err
		}
		r.Logits = append(r.Logits, logits...)
	}
	return r, nil
}

// grow is buf with room for n, which is its length; contents are lost when it has to move.
func grow(buf []float32, n int) []float32 {
	if cap(buf) < n {
		return make([]float32, n)
	}
	return buf[:n]
}

// mat makes *buf hold n rows of cols elements.
func mat(buf *[]float32, n, cols int) kernel.Mat {
	*buf = grow(*buf, n*cols)
	return kernel.Mat{Data: *buf, Stride: cols}
}

// dotTypes are the types that inputs can be rounded to.
var dotTypes = [...]gguf.Type{gguf.F16, gguf.BF16, gguf.Q8_0, gguf.Q8_K}

// input is a layer's input and its rounded forms, each made when first asked for: as integers, or as float32.
type input struct {
	x       kernel.Mat
	n, cols int
	done    [len(dotTypes)]form
	rounded [len(dotTypes)][]float32
	quants  [len(dotTypes)]kernel.Inputs
}

// form is one that a rounded input has, of the two.
type form struct{ floats, integers bool }

// set makes x, n rows of cols elements, the input.
func (in *input) set(x kernel.Mat, n, cols int) *input {
	in.x, in.n, in.cols = x, n, cols
	in.done = [len(dotTypes)]form{}
	return in
}

// as sets p's input to in, rounded as the matrix wants it.
func (s *State) as(in *input, p *product) error {
	t := p.m.dot
	if t == gguf.F32 {
		p.x = in.x
		return nil
	}
	i := slices.Index(dotTypes[:], t)
	if p.m.integer() {
		q := &in.quants[i]
		var err error
		if !in.done[i].integers {
			in.done[i].integers = true
			q.Reset(t, in.n, in.cols)
			err = s.eachRow(in, func(_, r int) error { return q.Put(r, in.x.Row(r, in.cols)) })
		}
		p.quants = *q
		return err
	}
	p.x = mat(&in.rounded[i], in.n, in.cols)
	if in.done[i].floats {
		return nil
	}
	in.done[i].floats = true
	return s.eachRow(in, func(worker, r int) error {
		return s.rounders[worker].Round(t, p.x.Row(r, in.cols), in.x.Row(r, in.cols))
	})
}

// eachRow calls f for the input's rows; the error of the first failing row is returned.
func (s *State) eachRow(in *input, f func(worker, r int) error) error {
	errs := make([]error, in.n)
	s.d.workers.rows(in.n, 4*in.cols, func(worker, lo, hi int) {
		for r := lo; r < hi; r++ {
			errs[r] = f(worker, r)
		}
	})
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// batch collects products that are computed together.
type batch struct {
	s   *State
	ps  []product
	err error
}

// add asks for dst = m times the input; without a matrix for nothing.
func (b *batch) add(m *matrix, in *input, dst kernel.Mat) {
	if m == nil {
		return
	}
	if p, ok := b.product(m, in); ok {
		b.observe(m, in.cols, false, func(int) observed { return observed{in.x, in.n} })
		p.dst, p.n = dst, in.n
		b.ps = append(b.ps, p)
	}
}

// addExperts asks for the products of stacked matrices, each with the rows of in that the routing gives it.
func (b *batch) addExperts(m *matrix, in *input, dst kernel.Mat) {
	if m == nil {
		return
	}
	all, ok := b.product(m, in)
	if !ok {
		return
	}
	starts := b.s.route.starts
	b.observe(m, in.cols, true, func(e int) observed { return observed{in.x.From(starts[e]), starts[e+1] - starts[e]} })
	for e := range m.experts {
		if n := starts[e+1] - starts[e]; n > 0 {
			p := all
			p.expert, p.n, p.dst = e, n, dst.From(starts[e])
			if m.integer() {
				p.quants = all.quants.From(starts[e])
			} else {
				p.x = all.x.From(starts[e])
			}
			b.ps = append(b.ps, p)
		}
	}
}

// addHeads asks for the products of matrices stacked by head, each with its head's rows of in, [token][head]; a head's
// results are dim apart.
func (b *batch) addHeads(m *matrix, in *input, dst kernel.Mat, dim int) {
	all, ok := b.product(m, in)
	if !ok {
		return
	}
	b.observe(m, in.cols, false, func(h int) observed {
		return observed{kernel.Mat{Data: in.x.Data[h*in.cols:], Stride: m.experts * in.cols}, in.n / m.experts}
	})
	for h := range m.experts {
		p := all
		p.expert, p.n = h, in.n/m.experts
		p.dst = kernel.Mat{Data: dst.Data[h*dim:], Stride: dst.Stride}
		if m.integer() {
			p.quants = all.quants.Every(h, m.experts)
		} else {
			p.x = kernel.Mat{Data: all.x.Data[h*in.cols:], Stride: m.experts * in.cols}
		}
		b.ps = append(b.ps, p)
	}
}

// product is one of m with an input, which may still be cut; ok is false when the input cannot be rounded.
func (b *batch) product(m *matrix, in *input) (p product, ok bool) {
	p.m = m
	if err := b.s.as(in, &p); err != nil && b.err == nil {
		b.err = fmt.Errorf("nn: input of %s: %w", m.info.Name, err)
	}
	return p, b.err == nil
}

// run computes what was asked for and makes the batch empty.
func (b *batch) run() error {
	if b.err == nil {
		b.s.multiply(b.ps)
	}
	b.ps = b.ps[:0]
	return b.err
}
