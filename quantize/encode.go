package quantize

import (
	"context"
	"errors"
	"fmt"
	"unsafe"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/quantize/block"
)

type scratch struct {
	raw []byte
	f32 []float32
}

// Elements read from the source and decoded at once: small enough for caches, large enough to hide overheads.
const (
	spanElements  = 1 << 18
	pieceElements = 1 << 15
)

// form is one encoding in which rows are wanted.
type form struct {
	typ        gguf.Type
	importance []float32 // row length x experts; nil for none
	rowBytes   int
	dst        []byte // of the rows to come
}

// same reports whether both are of the same bytes.
func (f form) same(g form) bool {
	return f.typ == g.typ && len(f.importance) == len(g.importance) && unsafe.SliceData(f.importance) == unsafe.SliceData(g.importance)
}

// next is f for the rows behind n of its own.
func (f form) next(n int) form {
	f.dst = f.dst[n*f.rowBytes:]
	return f
}

// read fills dst[i] with n rows of jobs[i]'s tensor; those with no dst are passed over. All jobs are of j's source.
func (j *Job) read(ctx context.Context, tensor, row, n int, jobs []*Job, dst [][]byte) error {
	var forms []form
	copies := true
	for i, d := range dst {
		if d == nil {
			continue
		}
		t, it := jobs[i].tensors[tensor], jobs[i].items[tensor]
		if err := gguf.CheckRows(jobs[i].tensors, tensor, row, n, d); err != nil {
			return err
		}
		forms = append(forms, form{t.Type, it.importance, int(t.RowBytes()), d})
		copies = copies && t.Type == it.from
	}
	var err error
	switch {
	case len(forms) == 0:
	case copies:
		err = j.copy(ctx, tensor, row, n, forms)
	default:
		err = j.encode(ctx, tensor, row, n, forms)
	}
	if err != nil {
		return fmt.Errorf("quantize: tensor %q: %w", j.tensors[tensor].Name, err)
	}
	return nil
}

// source is a tensor as the source has it.
func (j *Job) source(tensor int) gguf.TensorInfo {
	t := j.tensors[tensor]
	t.Type = j.items[tensor].from
	return t
}

// copy reads rows that all forms have as they are.
func (j *Job) copy(ctx context.Context, tensor, row, n int, forms []form) error {
	first := forms[0].dst
	if err := j.src.ReadRows(ctx, j.items[tensor].src, row, n, first); err != nil {
		return err
	}
	if err := validate(j.source(tensor), first, row); err != nil {
		return err
	}
	for _, f := range forms[1:] {
		copy(f.dst, first)
	}
	return nil
}

// encode reads rows in spans of whole units where they are not too many, and encodes each span.
func (j *Job) encode(ctx context.Context, tensor, row, n int, forms []form) error {
	s, _ := j.scratch.Get().(*scratch)
	if s == nil {
		s = &scratch{}
	}
	defer j.scratch.Put(s)
	in := j.source(tensor)
	unit := j.Units(tensor)
	span := max(1, spanElements/int(in.Shape.NE(0)))
	span = (span + unit - 1) / unit * unit
	for n > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		k := min(n, span)
		s.raw = grow(s.raw, k*int(in.RowBytes()))
		if err := j.src.ReadRows(ctx, j.items[tensor].src, row, k, s.raw); err != nil {
			return err
		}
		if err := validate(in, s.raw, row); err != nil {
			return err
		}
		if err := s.encodeSpan(in, row, k, forms); err != nil {
			return err
		}
		for i := range forms {
			forms[i] = forms[i].next(k)
		}
		row, n = row+k, n-k
	}
	return nil
}

// encodeSpan decodes and encodes the n rows in s.raw, in pieces that never cross from one expert to the next.
func (s *scratch) encodeSpan(in gguf.TensorInfo, row, n int, forms []form) error {
	ne0, ne1 := int(in.Shape.NE(0)), int(in.Shape.NE(1))
	inRow := int(in.RowBytes())
	for done := 0; done < n; {
		k := min(n-done, max(1, pieceElements/ne0), ne1-row%ne1)
		raw := s.raw[done*inRow : (done+k)*inRow]
		s.f32 = grow(s.f32, k*ne0)
		if err := block.DecodeRows(in.Type, s.f32, raw, ne0); err != nil {
			return err
		}
		expert := row / ne1 % int(in.Shape.NE(2))
		for i, f := range forms {
			if err := s.encodePiece(in.Type, f, forms[:i], raw, ne0, expert, done, k); err != nil {
				if ve := (*block.ValueError)(nil); errors.As(err, &ve) {
					ve.Row += row
				}
				return err
			}
		}
		row, done = row+k, done+k
	}
	return nil
}

// encodePiece gives f the k rows in s.f32, which are raw in the source; forms before it may have them already.
func (s *scratch) encodePiece(from gguf.Type, f form, before []form, raw []byte, ne0, expert, at, k int) error {
	dst := f.dst[at*f.rowBytes : (at+k)*f.rowBytes]
	if f.typ == from {
		copy(dst, raw)
		return nil
	}
	for _, g := range before {
		if f.same(g) {
			copy(dst, g.dst[at*f.rowBytes:])
			return nil
		}
	}
	weights := f.importance
	if weights != nil {
		weights = weights[expert*ne0 : (expert+1)*ne0]
	}
	return block.EncodeRows(f.typ, dst, s.f32, ne0, weights)
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
