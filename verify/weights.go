package verify

import (
	"context"
	"errors"
	"fmt"
	goruntime "runtime"
	"sync"
	"sync/atomic"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/gguf/names"
	"github.com/moeconv/moeconv/quantize/block"
)

// unit is the part of a tensor that is judged by itself: an expert of a stacked tensor, else the whole tensor.
type unit struct {
	tensor    int
	expert    int // -1: the whole tensor
	row, rows int
}

// unitsOf takes tensors apart into units, in order.
func unitsOf(tensors []gguf.TensorInfo) []unit {
	var out []unit
	for i, t := range tensors {
		rows := int(t.Shape.Rows())
		experts := expertsIn(t)
		if experts == 0 {
			out = append(out, unit{i, -1, 0, rows})
			continue
		}
		per := rows / experts
		for e := range experts {
			out = append(out, unit{i, e, e * per, per})
		}
	}
	return out
}

// expertsIn is the number of routed experts stacked in a tensor, 0 if it holds none.
func expertsIn(t gguf.TensorInfo) int {
	n := names.Parse(t.Name)
	if n.Role.Class() != names.RoutedExpert {
		return 0
	}
	switch {
	case n.Suffix == "weight" && len(t.Shape) >= 3:
		return int(t.Shape.NE(2) * t.Shape.NE(3))
	case n.Suffix == "bias" && len(t.Shape) == 2:
		return int(t.Shape.NE(1))
	}
	return 0
}

// slabBytes is how much encoded data one read asks for, at least; a source with larger units is asked for one.
const slabBytes = 1 << 20

// reader reads and decodes rows of one source. Each worker has its own.
type reader struct {
	src  gguf.Source
	raw  []byte
	vals []float32
}

// slabValues bounds what a slab decodes to: types of two bits have many values in a MiB.
const slabValues = 1 << 20

func (r *reader) step(tensor int, t gguf.TensorInfo) int { return stepOf(r.src, tensor, t) }

func stepOf(src gguf.Source, tensor int, t gguf.TensorInfo) int {
	n := min(slabBytes/max(1, t.RowBytes()), slabValues/t.Shape.NE(0))
	return max(1, int(n), gguf.Units(src, tensor))
}

// fetch reads n rows into r.raw.
func (r *reader) fetch(ctx context.Context, tensor, row, n int) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	r.raw = resize(r.raw, n*int(r.src.Tensors()[tensor].RowBytes()))
	if err := r.src.ReadRows(ctx, tensor, row, n, r.raw); err != nil {
		return fmt.Errorf("read: %w", err)
	}
	return nil
}

// decode decodes whole rows into r.vals, which it returns.
func (r *reader) decode(t gguf.TensorInfo, raw []byte) ([]float32, error) {
	ne0 := int(t.Shape.NE(0))
	r.vals = resize(r.vals, len(raw)/int(t.RowBytes())*ne0)
	return r.vals, block.DecodeRows(t.Type, r.vals, raw, ne0)
}

// read reads and decodes n rows into r.raw and r.vals.
func (r *reader) read(ctx context.Context, tensor, row, n int) error {
	if err := r.fetch(ctx, tensor, row, n); err != nil {
		return err
	}
	_, err := r.decode(r.src.Tensors()[tensor], r.raw)
	return err
}

func resize[T any](b []T, n int) []T {
	if cap(b) < n {
		return make([]T, n)
	}
	return b[:n]
}

// readable reports whether tensors of a type can be decoded here; integers hold no weights and need not be.
func readable(t gguf.Type) bool {
	_, ok := block.For(t)
	return ok
}

func integer(t gguf.Type) bool {
	return t == gguf.I8 || t == gguf.I16 || t == gguf.I32 || t == gguf.I64
}

// workers is the number of goroutines for checks on weights that read from the sources, as many as memory allows.
func (s *Subject) workers(srcs ...gguf.Source) int {
	n := goruntime.GOMAXPROCS(0)
	if s.Runtime.Threads > 0 {
		n = s.Runtime.Threads
	}
	if s.Workers > 0 {
		n = s.Workers
	}
	return s.affordable(n, srcs...)
}

// affordable is n, or as many workers as memory allows.
func (s *Subject) affordable(n int, srcs ...gguf.Source) int {
	var each int64
	for _, src := range srcs {
		each += slabCost(src)
	}
	return int(max(1, min(int64(n), s.memory()/2/max(1, each))))
}

// slabCost is the bytes of the largest slab of a source, encoded and decoded, and what the source itself needs for it.
func slabCost(src gguf.Source) int64 {
	var most int64
	for i, t := range src.Tensors() {
		rows := int64(stepOf(src, i, t))
		most = max(most, rows*(2*t.RowBytes()+4*t.Shape.NE(0)))
	}
	return most
}

// each calls fn for 0..n-1 from several goroutines and returns the first error by index. fn knows its worker by number.
func each(ctx context.Context, n, workers int, fn func(worker, i int) error) error {
	errs := make([]error, n)
	var next atomic.Int64
	var stop atomic.Bool
	var wg sync.WaitGroup
	for w := range min(workers, n) {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= n || stop.Load() || ctx.Err() != nil {
					return
				}
				if errs[i] = fn(w, i); errs[i] != nil {
					stop.Store(true)
				}
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil && !errors.Is(err, context.Canceled) {
			return err
		}
	}
	return ctx.Err()
}
