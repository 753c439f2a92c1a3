package convert

import (
	"context"
	"encoding/binary"
	"math"
)

// valuer is a view that computes its values: where they are wanted, and not their bytes, they need not go by them.
type valuer interface {
	view
	// values is read for F32.
	values(ctx context.Context, w window, dst []float32) error
}

// readValues fills dst with a window of plain values.
func readValues(ctx context.Context, v view, w window, dst []float32) error {
	if f, ok := v.(valuer); ok {
		return f.values(ctx, w, dst)
	}
	b := getBytes(w.bytes(v))
	defer putBytes(b)
	if err := v.read(ctx, w, b.b); err != nil {
		return err
	}
	decode(v.elem(), dst, b.b)
	return nil
}

// readBytes is the read of a valuer.
func readBytes(ctx context.Context, v valuer, w window, dst []byte) error {
	return readF32(ctx, v, w, func(at int64, vals []float32) error {
		part := dst[4*at:][:4*len(vals)]
		for i, f := range vals {
			binary.LittleEndian.PutUint32(part[4*i:4*i+4], math.Float32bits(f))
		}
		return nil
	})
}
