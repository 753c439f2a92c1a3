package convert

import (
	"context"
	"fmt"

	"github.com/moeconv/moeconv/convert/safetensors"
)

// grid is scales, each of which spans a box of a weight's values.
type grid struct {
	ckpt *safetensors.Checkpoint
	t    safetensors.Tensor
	dims []int64 // of the weight
	n    []int64 // scales along each of them
	span []int64 // values of each scale along each of them
}

// newGrid holds the shape of scales t against that of weight w. blocks are the spans along the innermost dimensions,
// of which the last box may be cut off; without them a dimension has one scale for all or one for each value,
// and dimensions that t lacks come last.
func newGrid(ckpt *safetensors.Checkpoint, w safetensors.Tensor, dims []int64, t safetensors.Tensor, blocks []int64) (grid, error) {
	_, plain := plainTypes[t.DType]
	if !plain && t.DType != "F8_E8M0" {
		return grid{}, unsupported(t, "scales of this dtype are not known (F32, F16, BF16 and F8_E8M0 are)")
	}
	g := grid{ckpt, t, dims, make([]int64, len(dims)), make([]int64, len(dims))}
	fits := len(t.Shape) <= len(dims)
	for i, d := range dims {
		g.n[i], g.span[i] = 1, max(1, d)
		if i < len(t.Shape) {
			g.n[i] = t.Shape[i]
		}
		b := int64(1)
		if k := i - (len(dims) - len(blocks)); k >= 0 {
			b = blocks[k]
			fits = fits && g.n[i] == (d+b-1)/b
		}
		if g.n[i] != 1 || d <= b {
			g.span[i] = b
			fits = fits && g.n[i] == (d+b-1)/b
		}
	}
	if len(dims) == 0 || !fits || t.Size == 0 {
		what := ""
		if blocks != nil {
			what = fmt.Sprintf(" in blocks of %v", blocks)
		}
		return grid{}, fmt.Errorf("tensor %q is %v, which does not go with %v of %q%s", t.Name, t.Shape, dims, w.Name, what)
	}
	return g, nil
}

// cols is the number of scales of a row.
func (g grid) cols() int64 { return g.n[len(g.n)-1] }

// row is the row of scales that a row of values has.
func (g grid) row(row int64) int64 {
	at, stride := int64(0), int64(1)
	for i := len(g.dims) - 2; i >= 0; i-- {
		at += row % g.dims[i] / g.span[i] * stride
		row, stride = row/g.dims[i], stride*g.n[i]
	}
	return at
}

// scales are the rows of scales from row first on.
type scales struct {
	first int64
	wide  int64
	v     []float32
}

// of is the scales of one row.
func (s scales) of(row int64) []float32 { return s.v[(row-s.first)*s.wide:][:s.wide] }

// load reads the scales of n rows of values from row on into buf.
func (g grid) load(ctx context.Context, row, n int64, buf *floats) (scales, error) {
	lo := g.row(row)
	hi := lo
	for r := row + 1; r < row+n; r++ {
		at := g.row(r)
		lo, hi = min(lo, at), max(hi, at)
	}
	s := scales{lo, g.cols(), buf.take((hi - lo + 1) * g.cols())}
	return s, readFloats(ctx, codesOf(g.ckpt, g.t), lo*g.cols(), s.v)
}

// readFloats reads len(dst) values of a tensor from value at on.
func readFloats(ctx context.Context, s stored, at int64, dst []float32) error {
	size := elemBytes(s)
	b := getBytes(int64(len(dst)) * size)
	defer putBytes(b)
	if err := s.readRuns(ctx, b.b, at*size); err != nil {
		return err
	}
	if s.t.DType == "F8_E8M0" {
		for i, c := range b.b {
			dst[i] = e8m0Values[c]
		}
		return nil
	}
	decode(s.typ, dst, b.b)
	return nil
}
