package gguf

import (
	"context"
	"fmt"
	"sync"
)

// Rows reads the same rows of several outputs at once, so that what they are made from is read once: dst[i] takes n
// rows of a tensor, starting at row, in output i's type; where dst[i] is nil they are not wanted.
// It is called concurrently.
type Rows func(ctx context.Context, tensor, row, n int, dst [][]byte) error

// rowsOf reads every output from a source of its own.
func rowsOf(srcs ...Source) Rows {
	return func(ctx context.Context, tensor, row, n int, dst [][]byte) error {
		for i, d := range dst {
			if d == nil {
				continue
			}
			if err := srcs[i].ReadRows(ctx, tensor, row, n, d); err != nil {
				return err
			}
		}
		return nil
	}
}

// unitsOf is the granularity of src, as a function.
func unitsOf(src Source) func(tensor int) int {
	return func(tensor int) int { return Units(src, tensor) }
}

// pipeline reads slabs concurrently; each stream takes them in order.
type pipeline struct {
	streams []*stream
	read    Rows
	units   func(tensor int) int
	opts    WriteOptions
	budget  *budget
}

func newPipeline(streams []*stream, read Rows, units func(tensor int) int, opts WriteOptions) *pipeline {
	opts = opts.filled()
	for _, st := range streams {
		st.bufs.limit = opts.Memory / 4 / int64(len(streams))
	}
	return &pipeline{streams: streams, read: read, units: units, opts: opts, budget: newBudget(opts.Memory)}
}

// run carries everything from the first position that a stream lacks to the end. After an error it returns
// when nobody reads or writes any more; every stream has then committed a run of whole slabs.
func (p *pipeline) run(ctx context.Context) error {
	inner, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	work := make(chan *slab)
	for _, st := range p.streams {
		st.queue = make(chan *slab, 4*p.opts.Workers) // bounds how far readers run ahead of the slab that is due
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		defer close(work)
		p.produce(inner, work)
		for _, st := range p.streams {
			close(st.queue)
		}
	})
	for range p.opts.Workers + p.opts.Workers/2 {
		wg.Go(func() {
			for s := range work {
				p.fill(inner, s)
			}
		})
	}
	for i := range p.streams {
		written := make(chan *slab, 16) // so that the one goes on while the other waits for the disk or the core
		wg.Go(func() {
			defer close(written)
			if err := p.append(inner, i, written); err != nil {
				cancel(err)
			}
		})
		wg.Go(func() {
			if err := p.commit(i, written); err != nil {
				cancel(err)
			}
		})
	}
	wg.Wait()
	if err := ctx.Err(); err != nil {
		return err
	}
	return context.Cause(inner)
}

// start is the first position that a stream lacks.
func (p *pipeline) start() position {
	first := p.streams[0].from
	for _, st := range p.streams[1:] {
		if st.from.before(first) {
			first = st.from
		}
	}
	return first
}

// produce cuts tensors into slabs and hands each first to the streams, then to a reader; it stops when ctx ends.
func (p *pipeline) produce(ctx context.Context, work chan<- *slab) {
	start := p.start()
	for t := start.tensor; t < len(p.streams[0].tensors); t++ {
		rows := int(p.streams[0].tensors[t].Shape.Rows())
		step := p.slabRows(t)
		for row := start.row; row < rows; {
			s := p.cut(position{t, row}, min(step, rows-row))
			if !p.dispatch(ctx, s, work) {
				return
			}
			row += s.n
		}
		start.row = 0
	}
}

// cut is the slab of at most n rows at a position; no stream begins in its middle.
func (p *pipeline) cut(at position, n int) *slab {
	for _, st := range p.streams {
		if st.from.tensor == at.tensor && st.from.row > at.row {
			n = min(n, st.from.row-at.row)
		}
	}
	return &slab{tensor: at.tensor, row: at.row, n: n, bufs: make([][]byte, len(p.streams)), ready: make(chan struct{})}
}

// dispatch takes memory for s and hands it on.
func (p *pipeline) dispatch(ctx context.Context, s *slab, work chan<- *slab) bool {
	at := position{s.tensor, s.row}
	var err error
	if s.held, err = p.budget.take(ctx, p.cost(s.tensor, s.n)); err != nil {
		return false
	}
	for i, st := range p.streams {
		if at.before(st.from) {
			continue
		}
		s.users.Add(1)
		s.bufs[i] = st.bufs.get(s.n*int(st.tensors[s.tensor].RowBytes()) + st.padding(s))
	}
	for i, st := range p.streams {
		if s.bufs[i] != nil && !send(ctx, st.queue, s) {
			return false
		}
	}
	return send(ctx, work, s)
}

func send(ctx context.Context, ch chan<- *slab, s *slab) bool {
	select {
	case ch <- s:
		return true
	case <-ctx.Done():
		return false
	}
}

// fill reads one slab.
func (p *pipeline) fill(ctx context.Context, s *slab) {
	defer close(s.ready)
	dst := make([][]byte, len(s.bufs))
	for i, b := range s.bufs {
		if b == nil {
			continue
		}
		n := len(b) - p.streams[i].padding(s)
		clear(b[n:])
		dst[i] = b[:n]
	}
	if err := p.read(ctx, s.tensor, s.row, s.n, dst); err != nil {
		s.err = fmt.Errorf("gguf: tensor %q, rows %d to %d: %w", p.streams[0].tensors[s.tensor].Name, s.row, s.row+s.n, err)
	}
}

// append writes a stream's slabs and hands them on to be committed.
func (p *pipeline) append(ctx context.Context, i int, written chan<- *slab) error {
	st := p.streams[i]
	for s := range st.queue {
		select {
		case <-s.ready:
		case <-ctx.Done():
			return nil // its cause is known
		}
		if s.err != nil {
			return s.err
		}
		if err := st.write(s, s.bufs[i]); err != nil {
			return err
		}
		if !send(ctx, written, s) {
			return nil
		}
	}
	return nil
}

// commit takes what was written into account and gives memory back.
func (p *pipeline) commit(i int, written <-chan *slab) error {
	st := p.streams[i]
	for s := range written {
		if err := st.commit(s, s.bufs[i]); err != nil {
			return err
		}
		st.bufs.put(s.bufs[i])
		s.bufs[i] = nil
		if s.users.Add(-1) == 0 {
			p.budget.give(s.held)
		}
	}
	return nil
}

// cost is what n rows are charged: their encoded forms and one f32 form.
func (p *pipeline) cost(tensor, n int) int64 {
	row := rowCost(p.streams[0].tensors[tensor])
	for _, st := range p.streams[1:] {
		row += st.tensors[tensor].RowBytes()
	}
	return int64(n) * row
}

// slabRows is the number of rows in a slab of a tensor.
func (p *pipeline) slabRows(tensor int) int {
	return slabRows(p.streams[0].tensors[tensor], p.units(tensor), p.cost(tensor, 1), p.opts.Memory)
}

// slabRows is a number of rows of t, of which each is charged cost bytes: whole units, about slabBytes as f32; where
// a single unit would not leave room in memory for a second one, any number of rows.
func slabRows(t TensorInfo, unit int, cost, memory int64) int {
	row := max(t.RowBytes(), 4*t.Shape.NE(0))
	rows := int(min(max(1, slabBytes/row), t.Shape.Rows()))
	if unit <= rows {
		return rows / unit * unit
	}
	if int64(unit) <= memory/2/cost {
		return unit
	}
	return rows
}

// rowCost is what a row is charged: its encoded form and, as most sources make it from that, its f32 form.
func rowCost(t TensorInfo) int64 { return t.RowBytes() + 4*t.Shape.NE(0) }
