package quantize

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/quantize/block"
)

// Job is a quantization under way: a gguf.Source whose tensors are those of another in llama-quantize's
// order, encoded on demand. It holds scratch memory of about a MiB for each concurrent ReadRows, beyond
// what the source's units ask for.
type Job struct {
	src      gguf.Source
	scheme   Scheme
	md       *gguf.Metadata
	tensors  []gguf.TensorInfo
	items    []item
	index    map[string]int // of tensors by name
	assigned Assignment
	coverage Coverage
	// obstacles would stop the job; there are none unless it is a plan only
	obstacles []error
	scratch   sync.Pool // of *scratch
}

// item is how one tensor is made.
type item struct {
	src        int       // index in the source
	from       gguf.Type // the source's type
	importance []float32 // row length x experts; nil for none
}

type scratch struct {
	raw []byte
	f32 []float32
}

// Elements read from the source and decoded at once: small enough for caches, large enough to hide overheads.
const (
	spanElements  = 1 << 18
	pieceElements = 1 << 15
)

// New plans the quantization of src by a scheme; nothing but names, shapes and metadata is read. It finds what would stop
// the job later: tensors that must not be quantized again, types without a codec, and entries that an importance matrix lacks.
func New(src gguf.Source, s Scheme, o Options) (*Job, error) {
	ts := src.Tensors()
	for _, t := range ts {
		if err := t.Check(); err != nil {
			return nil, fmt.Errorf("quantize: %w", err)
		}
	}
	a, err := Assign(src.Metadata(), ts, s, o)
	if err != nil {
		return nil, err
	}
	j := &Job{src: src, scheme: s, assigned: a, index: make(map[string]int, len(ts))}
	for i, from := range a.Order {
		t := ts[from]
		j.index[t.Name] = i
		j.items = append(j.items, item{src: from, from: t.Type})
		t.Type, t.Shape = a.Types[i], trimmed(t.Shape)
		j.tensors = append(j.tensors, t)
	}
	for _, check := range []func(Options) error{j.matchImportance, j.checkTypes} {
		if err := check(o); err != nil && !o.PlanOnly {
			return nil, err
		} else if err != nil {
			j.obstacles = append(j.obstacles, err)
		}
	}
	j.md = metadata(src.Metadata(), ts, a.Order, s, o)
	if p, ok := src.(*Pruned); ok {
		key := j.md.ModelKey("block_count")
		j.md.Delete(key)
		j.md.Set(key, uint32(p.blocks))
	}
	return j, nil
}

// trimmed is a shape without outermost dimensions of 1, which llama-quantize's writer does not know of.
func trimmed(s gguf.Shape) gguf.Shape {
	for len(s) > 1 && s[len(s)-1] == 1 {
		s = s[:len(s)-1]
	}
	return s
}

// checkTypes finds tensors that cannot be decoded or encoded, or should not be.
func (j *Job) checkTypes(o Options) error {
	for i, t := range j.tensors {
		from := j.items[i].from
		if t.Type == from {
			continue
		}
		if from.Quantized() && !o.AllowRequantize {
			return fmt.Errorf("quantize: tensor %q: requantizing from type %s is disabled", t.Name, from.GGMLName())
		}
		for _, typ := range []gguf.Type{from, t.Type} {
			if _, ok := block.For(typ); !ok {
				return &gguf.UnsupportedError{Msg: fmt.Sprintf("quantize: tensor %q: %v to %v: no codec for %v", t.Name, from, t.Type, typ)}
			}
		}
	}
	return nil
}

// Metadata is the source's, changed as llama-quantize changes it.
func (j *Job) Metadata() *gguf.Metadata { return j.md }

// Tensors lists the output's tensors in llama-quantize's order.
func (j *Job) Tensors() []gguf.TensorInfo { return j.tensors }

// Obstacles are what would stop the job if it were run; only a plan has any.
func (j *Job) Obstacles() []error { return j.obstacles }

// Assignment is how the types came about.
func (j *Job) Assignment() Assignment { return j.assigned }

// Units is the source's granularity for the tensor.
func (j *Job) Units(tensor int) int {
	if tensor < 0 || tensor >= len(j.items) {
		return 1
	}
	return gguf.Units(j.src, j.items[tensor].src)
}

// ReadRows encodes n rows of a tensor, or copies them where the type stays. Values and block scales that are not finite
// are errors naming tensor, row and value, in copies too.
func (j *Job) ReadRows(ctx context.Context, tensor, row, n int, dst []byte) error {
	if err := gguf.CheckRows(j.tensors, tensor, row, n, dst); err != nil {
		return err
	}
	t, it := j.tensors[tensor], j.items[tensor]
	var err error
	if t.Type == it.from {
		if err = j.src.ReadRows(ctx, it.src, row, n, dst); err == nil {
			err = validate(t, dst, row)
		}
	} else {
		err = j.encode(ctx, tensor, row, n, dst)
	}
	if err != nil {
		return fmt.Errorf("quantize: tensor %q: %w", t.Name, err)
	}
	return nil
}

// encode reads rows in spans of whole units where they are not too many, and encodes each span.
func (j *Job) encode(ctx context.Context, tensor, row, n int, dst []byte) error {
	t, it := j.tensors[tensor], j.items[tensor]
	s, _ := j.scratch.Get().(*scratch)
	if s == nil {
		s = &scratch{}
	}
	defer j.scratch.Put(s)
	in := gguf.TensorInfo{Name: t.Name, Type: it.from, Shape: t.Shape}
	inRow, outRow := int(in.RowBytes()), int(t.RowBytes())
	unit := j.Units(tensor)
	span := max(1, spanElements/int(t.Shape.NE(0)))
	span = (span + unit - 1) / unit * unit
	for n > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		k := min(n, span)
		s.raw = grow(s.raw, k*inRow)
		if err := j.src.ReadRows(ctx, it.src, row, k, s.raw); err != nil {
			return err
		}
		if err := validate(in, s.raw, row); err != nil {
			return err
		}
		if err := s.encodeSpan(in, t.Type, it.importance, row, k, dst[:k*outRow]); err != nil {
			return err
		}
		row, n, dst = row+k, n-k, dst[k*outRow:]
	}
	return nil
}

// encodeSpan decodes and encodes the n rows in s.raw, in pieces that never cross from one expert to the next.
func (s *scratch) encodeSpan(in gguf.TensorInfo, to gguf.Type, importance []float32, row, n int, dst []byte) error {
	ne0, ne1 := int(in.Shape.NE(0)), int(in.Shape.NE(1))
	inRow, outRow := int(in.RowBytes()), len(dst)/n
	raw := s.raw
	for n > 0 {
		k := min(n, max(1, pieceElements/ne0), ne1-row%ne1)
		s.f32 = grow(s.f32, k*ne0)
		if err := block.DecodeRows(in.Type, s.f32, raw[:k*inRow], ne0); err != nil {
			return err
		}
		weights := importance
		if importance != nil {
			e := row / ne1 % int(in.Shape.NE(2))
			weights = importance[e*ne0 : (e+1)*ne0]
		}
		err := block.EncodeRows(to, dst[:k*outRow], s.f32, ne0, weights)
		if ve := (*block.ValueError)(nil); errors.As(err, &ve) {
			ve.Row += row
		}
		if err != nil {
			return err
		}
		row, n, raw, dst = row+k, n-k, raw[k*inRow:], dst[k*outRow:]
	}
	return nil
}

// validate checks encoded rows, the first of them being row, as llama-quantize checks all it reads. Types without a codec pass.
func validate(t gguf.TensorInfo, data []byte, row int) error {
	if _, ok := block.For(t.Type); !ok {
		return nil
	}
	err := block.Validate(t.Type, data)
	if se := (*block.ScaleError)(nil); errors.As(err, &se) {
		at := int64(se.Block) * int64(t.Type.BlockLen())
		ne0 := t.Shape.NE(0)
		what := "value"
		if t.Type.Quantized() {
			what = "block scale"
		}
		return fmt.Errorf("row %d, column %d: %s %v", int64(row)+at/ne0, at%ne0, what, se.Value)
	}
	return err
}

// grow is s with length n, its contents arbitrary.
func grow[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}
