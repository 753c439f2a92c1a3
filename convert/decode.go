package convert

import (
	"context"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/quantize/block"
)

// decode turns elements of a plain type into values.
func decode(t gguf.Type, dst []float32, src []byte) {
	c, _ := block.For(t) // as all plain types have
	c.Decode(dst, src)
}

// readF32 reads a window of plain values in pieces and hands each to f: at is the place of its first value in the packed window.
func readF32(ctx context.Context, v view, w window, f func(at int64, vals []float32) error) error {
	most := piece(v, w.cols)
	buf := floatPool.Get().(*floats)
	defer floatPool.Put(buf)
	vals := buf.take(min(most, w.n) * w.cols)
	for i := int64(0); i < w.n; i += most {
		part := window{w.row + i, min(most, w.n-i), w.col, w.cols}
		vals := vals[:part.n*part.cols]
		if err := readValues(ctx, v, part, vals); err != nil {
			return err
		}
		if err := f(i*w.cols, vals); err != nil {
			return err
		}
	}
	return nil
}

// piece is the number of rows of v that are read at a time: a chunk, or more where v says that this many share a cost.
func piece(v view, cols int64) int64 {
	n := max(1, chunkBytes/max(1, cols*elemBytes(v)))
	if p, ok := v.(interface{ pieceRows() int64 }); ok {
		n = max(n, p.pieceRows())
	}
	return n
}
