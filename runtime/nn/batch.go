package nn

import (
	"fmt"

	"github.com/moeconv/moeconv/runtime/kernel"
)

// batch collects products that are computed together.
type batch struct {
	s     *State
	ps    []product
	err   error
	quiet bool // inputs are not summed up
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
			p.m, p.expert = b.s.weightsOf(m, e)
			p.n, p.dst = n, dst.From(starts[e])
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
