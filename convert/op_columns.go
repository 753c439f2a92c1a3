package convert

import (
	"context"
	"fmt"
	"slices"

	"github.com/moeconv/moeconv/convert/family"
	"github.com/moeconv/moeconv/gguf"
)

// columns takes every step-th column from from on.
type columns struct {
	in         view
	dims       []int64
	from, step int64
}

func newColumns(in view, o family.Columns) (view, error) {
	have, step, count := inner(in.shape()), max(1, o.Step), o.Count
	if count == 0 {
		count = (have - o.From + step - 1) / step
	}
	if in.elem().BlockLen() > 1 || o.From < 0 || count < 1 || o.From+(count-1)*step >= have {
		return nil, fmt.Errorf("shape %v of %v does not have columns %d to %d", in.shape(), in.elem(), o.From, o.From+(count-1)*step)
	}
	dims := slices.Clone(in.shape())
	dims[len(dims)-1] = count
	return columns{in, dims, o.From, step}, nil
}

func (c columns) shape() []int64  { return c.dims }
func (c columns) elem() gguf.Type { return c.in.elem() }
func (c columns) units() int64    { return c.in.units() }

func (c columns) origin(row, col int64) (string, []int64) {
	return c.in.origin(row, c.from+col*c.step)
}

func (c columns) read(ctx context.Context, w window, dst []byte) error {
	size := elemBytes(c)
	inside := window{w.row, w.n, c.from + w.col*c.step, (w.cols-1)*c.step + 1}
	if c.step == 1 {
		return c.in.read(ctx, inside, dst)
	}
	most := max(1, chunkBytes/(inside.cols*size))
	b := getBytes(min(most, w.n) * inside.cols * size)
	defer putBytes(b)
	for i := int64(0); i < w.n; i += most {
		inside.row, inside.n = w.row+i, min(most, w.n-i)
		raw := b.b[:inside.bytes(c)]
		if err := c.in.read(ctx, inside, raw); err != nil {
			return err
		}
		for r := range inside.n {
			for j := range w.cols {
				copy(dst[((i+r)*w.cols+j)*size:][:size], raw[(r*inside.cols+j*c.step)*size:])
			}
		}
	}
	return nil
}
