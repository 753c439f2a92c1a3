package nn

import (
	"slices"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/runtime/kernel"
)

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
