package convert

import (
	"context"
	"fmt"
	"slices"

	"github.com/moeconv/moeconv/convert/family"
	"github.com/moeconv/moeconv/gguf"
)

// reshape gives the values other dimensions, in the same order.
type reshape struct {
	in   view
	dims []int64
}

// newReshape fills in the one dimension that is 0.
func newReshape(in view, o family.Reshape) (view, error) {
	dims := slices.Clone(o.Dims)
	total, known, free := product(in.shape()), int64(1), -1
	for i, d := range dims {
		if d == 0 && free < 0 {
			free = i
			continue
		}
		known *= d
	}
	if free >= 0 && known > 0 {
		dims[free] = total / known
		known *= dims[free]
	}
	if known != total {
		return nil, fmt.Errorf("shape %v cannot become %v", in.shape(), o.Dims)
	}
	if in.elem().BlockLen() > 1 && inner(dims) != inner(in.shape()) {
		return nil, fmt.Errorf("rows of %v cannot be cut into %v", in.elem(), o.Dims)
	}
	return reshape{in, dims}, nil
}

// newGroup cuts the outermost dimension into o.Heads parts.
func newGroup(in view, o family.Group) (view, error) {
	s := in.shape()
	if len(s) == 0 || o.Heads < 1 || s[0]%o.Heads != 0 {
		return nil, fmt.Errorf("shape %v does not divide into %d parts", s, o.Heads)
	}
	return newReshape(in, family.Reshape{Dims: append([]int64{o.Heads, s[0] / o.Heads}, s[1:]...)})
}

// newFlatten joins the two outermost dimensions.
func newFlatten(in view) (view, error) {
	s := in.shape()
	if len(s) < 2 {
		return nil, fmt.Errorf("shape %v has no two dimensions to join", s)
	}
	return newReshape(in, family.Reshape{Dims: append([]int64{s[0] * s[1]}, s[2:]...)})
}

func product(shape []int64) int64 { return rowsIn(shape) * inner(shape) }

func (r reshape) shape() []int64  { return r.dims }
func (r reshape) elem() gguf.Type { return r.in.elem() }

func (r reshape) units() int64 {
	if inner(r.dims) == inner(r.in.shape()) {
		return r.in.units()
	}
	return 1
}

func (r reshape) origin(row, col int64) (string, []int64) {
	at, w := row*inner(r.dims)+col, inner(r.in.shape())
	return r.in.origin(at/w, at%w)
}

func (r reshape) read(ctx context.Context, w window, dst []byte) error {
	if width(r) == width(r.in) {
		return r.in.read(ctx, w, dst)
	}
	if w.wide(r) {
		return r.run(ctx, w.row*width(r), w.n*w.cols, dst)
	}
	part := w.cols * elemBytes(r)
	for i := range w.n {
		if err := r.run(ctx, (w.row+i)*width(r)+w.col, w.cols, dst[i*part:(i+1)*part]); err != nil {
			return err
		}
	}
	return nil
}

// run reads n elements from position at on: the end of a row, whole rows, the beginning of one.
func (r reshape) run(ctx context.Context, at, n int64, dst []byte) error {
	wide, size := width(r.in), elemBytes(r)
	for n > 0 {
		w := window{row: at / wide, n: 1, col: at % wide}
		w.cols = min(n, wide-w.col)
		if w.col == 0 && n >= wide {
			w.n, w.cols = n/wide, wide
		}
		k := w.n * w.cols
		if err := r.in.read(ctx, w, dst[:k*size]); err != nil {
			return err
		}
		at, n, dst = at+k, n-k, dst[k*size:]
	}
	return nil
}
