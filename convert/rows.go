package convert

import (
	"context"
	"errors"
	"fmt"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/quantize/block"
)

// ReadRows reads, decodes, transforms and encodes rows: see gguf.Source. A value that is not finite
// or does not fit the type is a *WeightError.
func (p *Plan) ReadRows(ctx context.Context, tensor, row, n int, dst []byte) error {
	if err := gguf.CheckRows(p.infos, tensor, row, n, dst); err != nil {
		return err
	}
	r := rowReader{info: p.infos[tensor], out: &p.outs[tensor]}
	w := window{int64(row), int64(n), 0, width(r.out.view)}
	if r.out.view.elem() != r.info.Type {
		return r.encode(ctx, w, dst)
	}
	if err := r.out.view.read(ctx, w, dst); err != nil { // the bytes are the same: no copy in between
		return err
	}
	return r.validate(w.row, dst)
}

// rowReader serves one call of ReadRows.
type rowReader struct {
	info gguf.TensorInfo
	out  *output
}

// encode reads values and encodes them.
func (r rowReader) encode(ctx context.Context, w window, dst []byte) error {
	ne0, rowBytes := r.info.Shape.NE(0), r.info.RowBytes()
	return readF32(ctx, r.out.view, w, func(at int64, vals []float32) error {
		first, n := at/ne0, int64(len(vals))/ne0
		err := block.EncodeRows(r.info.Type, dst[first*rowBytes:][:n*rowBytes], vals, int(ne0), nil)
		if ve := (*block.ValueError)(nil); errors.As(err, &ve) {
			return r.weightError(w.row+first+int64(ve.Row), int64(ve.Column), ve.Value)
		}
		if err != nil {
			return fmt.Errorf("convert: tensor %q: %w", r.out.from[0], err)
		}
		return nil
	})
}

// validate looks for values that are not finite in rows taken over unchanged.
func (r rowReader) validate(row int64, data []byte) error {
	if _, ok := block.For(r.info.Type); !ok {
		return nil // blocks that are only moved
	}
	err := block.Validate(r.info.Type, data)
	if se := (*block.ScaleError)(nil); errors.As(err, &se) {
		ne0 := r.info.Shape.NE(0)
		return r.weightError(row+int64(se.Block)/ne0, int64(se.Block)%ne0, se.Value)
	}
	if err != nil {
		return fmt.Errorf("convert: tensor %q: %w", r.out.from[0], err)
	}
	return nil
}

func (r rowReader) weightError(row, column int64, v float32) error {
	source, index := r.out.view.origin(row, column)
	return &WeightError{Tensor: r.info.Name, Source: source, Index: index, Value: v, Type: r.info.Type}
}
