package gguf

import (
	"context"
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	goruntime "runtime"
	"sync"
)

const (
	slabBytes     = 4 << 20   // aim of one slab, as f32
	defaultMemory = 512 << 20 // bytes of slabs in flight
)

// WriteOptions say how to write; the zero value is good. They never change the bytes written.
type WriteOptions struct {
	Workers  int                     // goroutines that read (decode, encode) rows; GOMAXPROCS if 0
	Memory   int64                   // bytes of slabs in flight, encoded and as f32; 512 MiB if 0
	Progress func(done, total int64) // called from one goroutine after each slab with bytes of the output; may be nil

	bare bool                         // leave out the padding in front of the data section
	sum  func(tensor int, sum []byte) // called after each tensor with the SHA-256 of its bytes; may be nil
}

// Write writes src as a GGUF file, version 3, little-endian. It writes forward
// only: w may be a pipe or a hash. Rows are read by several goroutines and
// written in order, so the bytes do not depend on their number. When Write
// returns, no goroutine reads from src any more; after an error (of src, of w,
// or ctx's) w holds a part of a file.
func Write(ctx context.Context, w io.Writer, src Source, opts WriteOptions) error {
	plan, header, err := layout(src.Metadata(), src.Tensors())
	if err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if opts.bare {
		header = header[:plan.HeaderSize]
	}
	if _, err := w.Write(header); err != nil {
		return fmt.Errorf("gguf: write: %w", err)
	}
	p := newPipeline(src, plan, opts)
	return p.run(ctx, w)
}

// slab is a run of rows of one tensor on its way through the pipeline.
type slab struct {
	tensor, row, n int
	pad            int   // zero bytes after it, up to the next tensor
	held           int64 // of the budget
	buf            []byte
	err            error
	ready          chan struct{} // closed when buf or err is there
}

// pipeline reads slabs concurrently and commits them in order.
type pipeline struct {
	src     Source
	tensors []TensorInfo
	plan    Plan
	opts    WriteOptions
	budget  *budget
	bufs    buffers
	hash    hash.Hash // of the tensor that is being written, where opts.sum asks for it
}

func newPipeline(src Source, plan Plan, opts WriteOptions) *pipeline {
	if opts.Workers <= 0 {
		opts.Workers = goruntime.GOMAXPROCS(0)
	}
	if opts.Memory <= 0 {
		opts.Memory = defaultMemory
	}
	return &pipeline{
		src: src, tensors: src.Tensors(), plan: plan, opts: opts,
		budget: newBudget(opts.Memory), bufs: buffers{limit: opts.Memory / 4}, hash: sha256.New(),
	}
}

// run writes the data section.
func (p *pipeline) run(ctx context.Context, w io.Writer) error {
	inner, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait() // runs after cancel: nobody reads src when Write has returned
	defer cancel()

	work := make(chan *slab)
	queue := make(chan *slab, 4*p.opts.Workers) // bounds how far readers run ahead of the one that is due
	wg.Go(func() {
		defer close(work)
		defer close(queue)
		p.produce(inner, work, queue)
	})
	for range p.opts.Workers {
		wg.Go(func() {
			for s := range work {
				p.read(inner, s)
			}
		})
	}
	done := p.plan.DataOffset
	for s := range queue {
		select {
		case <-s.ready:
		case <-ctx.Done():
			return ctx.Err()
		}
		n, err := p.commit(w, s)
		if err != nil {
			return err
		}
		if done += n; p.opts.Progress != nil {
			p.opts.Progress(done, p.plan.Size)
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if done != p.plan.Size {
		return fmt.Errorf("gguf: wrote %d bytes, planned %d", done, p.plan.Size)
	}
	return nil
}

// produce cuts tensors into slabs and hands each first to the committer, then to a reader; it stops when ctx ends.
func (p *pipeline) produce(ctx context.Context, work, queue chan<- *slab) {
	for t, info := range p.tensors {
		rows := int(info.Shape.Rows())
		step := slabRows(info, Units(p.src, t), p.opts.Memory)
		for row := 0; row < rows; row += step {
			s := &slab{tensor: t, row: row, n: min(step, rows-row), ready: make(chan struct{})}
			if row+s.n == rows {
				s.pad = int(pad(info.Bytes(), p.plan.Alignment) - info.Bytes())
			}
			var err error
			if s.held, err = p.budget.take(ctx, slabCost(info, s.n)); err != nil {
				return
			}
			s.buf = p.bufs.get(s.n*int(info.RowBytes()) + s.pad)
			if !send(ctx, queue, s) || !send(ctx, work, s) {
				return
			}
		}
	}
}

func send(ctx context.Context, ch chan<- *slab, s *slab) bool {
	select {
	case ch <- s:
		return true
	case <-ctx.Done():
		return false
	}
}

// read fills one slab.
func (p *pipeline) read(ctx context.Context, s *slab) {
	defer close(s.ready)
	n := len(s.buf) - s.pad
	clear(s.buf[n:])
	if err := p.src.ReadRows(ctx, s.tensor, s.row, s.n, s.buf[:n]); err != nil {
		s.err = fmt.Errorf("gguf: tensor %q, rows %d to %d: %w", p.tensors[s.tensor].Name, s.row, s.row+s.n, err)
	}
}

// commit writes one slab and gives its memory back.
func (p *pipeline) commit(w io.Writer, s *slab) (int64, error) {
	if s.err != nil {
		return 0, s.err
	}
	if _, err := w.Write(s.buf); err != nil {
		return 0, fmt.Errorf("gguf: write: tensor %q: %w", p.tensors[s.tensor].Name, err)
	}
	n := int64(len(s.buf))
	if p.opts.sum != nil {
		p.sum(s)
	}
	p.bufs.put(s.buf)
	p.budget.give(s.held)
	return n, nil
}

// sum takes a slab into its tensor's hash.
func (p *pipeline) sum(s *slab) {
	p.hash.Write(s.buf[:len(s.buf)-s.pad])
	if int64(s.row+s.n) == p.tensors[s.tensor].Shape.Rows() {
		p.opts.sum(s.tensor, p.hash.Sum(nil))
		p.hash.Reset()
	}
}

// slabCost is what n rows are charged: their encoded form and, as most sources make them from it, their f32 form.
func slabCost(t TensorInfo, n int) int64 {
	return int64(n) * (t.RowBytes() + 4*t.Shape.NE(0))
}

// slabRows is the number of rows in a slab of t: whole units, about slabBytes as
// f32; where a single unit would not leave room in memory for a second one, any number of rows.
func slabRows(t TensorInfo, unit int, memory int64) int {
	row := max(t.RowBytes(), 4*t.Shape.NE(0))
	rows := int(min(max(1, slabBytes/row), t.Shape.Rows()))
	if unit <= rows {
		return rows / unit * unit
	}
	if slabCost(t, unit) <= memory/2 {
		return unit
	}
	return rows
}
