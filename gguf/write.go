package gguf

import (
	"context"
	"fmt"
	"io"
	goruntime "runtime"
)

const (
	slabBytes     = 4 << 20   // aim of one slab, as f32
	defaultMemory = 512 << 20 // bytes of slabs in flight
)

// WriteOptions say how to write; the zero value is good. They never change the bytes written.
type WriteOptions struct {
	Workers  int                     // goroutines that read (decode, encode) rows; GOMAXPROCS if 0
	Memory   int64                   // bytes of slabs in flight, encoded and as f32; 512 MiB if 0
	Progress func(done, total int64) // called after each slab, never twice at once, with bytes of the output; may be nil
}

// filled is o with the defaults.
func (o WriteOptions) filled() WriteOptions {
	if o.Workers <= 0 {
		o.Workers = goruntime.GOMAXPROCS(0)
	}
	if o.Memory <= 0 {
		o.Memory = defaultMemory
	}
	return o
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
	if _, err := w.Write(header); err != nil {
		return fmt.Errorf("gguf: write: %w", err)
	}
	done := plan.DataOffset
	s := newStream(src.Tensors(), func(int) int64 { return plan.Alignment })
	s.write = func(c *slab, data []byte) error {
		if _, err := w.Write(data); err != nil {
			return fmt.Errorf("gguf: write: tensor %q: %w", s.tensors[c.tensor].Name, err)
		}
		return nil
	}
	s.commit = func(_ *slab, data []byte) error {
		if done += int64(len(data)); opts.Progress != nil {
			opts.Progress(done, plan.Size)
		}
		return nil
	}
	if err := newPipeline([]*stream{s}, rowsOf(src), unitsOf(src), opts).run(ctx); err != nil {
		return err
	}
	if done != plan.Size {
		return fmt.Errorf("gguf: wrote %d bytes, planned %d", done, plan.Size)
	}
	return nil
}
