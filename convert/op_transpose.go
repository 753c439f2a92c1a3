package convert

import (
	"context"
	"fmt"
	"slices"

	"github.com/moeconv/moeconv/gguf"
)

// transpose swaps the two innermost dimensions.
type transpose struct {
	in   view
	dims []int64
}

func newTranspose(in view) (view, error) {
	dims := slices.Clone(in.shape())
	if len(dims) < 2 || in.elem().BlockLen() > 1 {
		return nil, fmt.Errorf("a tensor of shape %v and type %v cannot be transposed", dims, in.elem())
	}
	n := len(dims)
	dims[n-1], dims[n-2] = dims[n-2], dims[n-1]
	return transpose{in, dims}, nil
}

func (t transpose) shape() []int64  { return t.dims }
func (t transpose) elem() gguf.Type { return t.in.elem() }

// units is as many rows as give the input's rows pieces worth reading, so that memory does not grow with the matrix.
func (t transpose) units() int64 {
	return min(t.dims[len(t.dims)-2], 4096/elemBytes(t))
}

// matrix is the number of a row's matrix and the row's place in it.
func (t transpose) matrix(row int64) (m, at int64) {
	rows := t.dims[len(t.dims)-2]
	return row / rows, row % rows
}

func (t transpose) origin(row, col int64) (string, []int64) {
	m, at := t.matrix(row)
	return t.in.origin(m*inner(t.dims)+col, at)
}

func (t transpose) read(ctx context.Context, w window, dst []byte) error {
	size := elemBytes(t)
	for w.n > 0 {
		m, at := t.matrix(w.row)
		k := min(w.n, t.dims[len(t.dims)-2]-at)
		part := dst[:k*w.cols*size]
		if err := t.tile(ctx, m, at, k, w, part); err != nil {
			return err
		}
		w.row, w.n, dst = w.row+k, w.n-k, dst[len(part):]
	}
	return nil
}

// tile makes k rows of one matrix from the same columns of the input, in strips of bounded size.
func (t transpose) tile(ctx context.Context, m, at, k int64, w window, dst []byte) error {
	size := elemBytes(t)
	strip := max(1, chunkBytes/(k*size))
	b := getBytes(min(strip, w.cols) * k * size)
	defer putBytes(b)
	for c := int64(0); c < w.cols; c += strip {
		n := min(strip, w.cols-c)
		raw := b.b[:n*k*size]
		if err := t.in.read(ctx, window{m*inner(t.dims) + w.col + c, n, at, k}, raw); err != nil {
			return err
		}
		turn(dst, raw, size, n, k, w.cols, c)
	}
	return nil
}

// turn writes n rows of k elements as columns col.. of k rows that are wide elements each.
func turn(dst, src []byte, size, n, k, wide, col int64) {
	const side = 32 // a tile of this side stays in the first cache
	for i0 := int64(0); i0 < n; i0 += side {
		for j0 := int64(0); j0 < k; j0 += side {
			for i := i0; i < min(n, i0+side); i++ {
				for j := j0; j < min(k, j0+side); j++ {
					to, from := (j*wide+col+i)*size, (i*k+j)*size
					if size == 2 {
						dst[to], dst[to+1] = src[from], src[from+1]
						continue
					}
					copy(dst[to:to+size], src[from:from+size])
				}
			}
		}
	}
}
