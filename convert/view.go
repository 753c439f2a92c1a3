package convert

import (
	"context"

	"github.com/moeconv/moeconv/gguf"
)

// view is a tensor that can be read by windows, made of a checkpoint's tensors by ops.
// Nothing is computed before it is read, and no more than the window asked for.
type view interface {
	// shape is in values, outermost dimension first. Rows count over all dimensions but the innermost.
	shape() []int64
	// elem is the type of what read delivers: F32, F16 or BF16 values, or quantization blocks.
	elem() gguf.Type
	// units is the number of rows that are cheap to read together.
	units() int64
	// read fills dst with the window's rows, packed.
	read(ctx context.Context, w window, dst []byte) error
	// origin says which tensor of the checkpoint, and where in it, the value of a row and column comes from.
	origin(row, col int64) (tensor string, index []int64)
}

// window is n rows from row on, of each the columns [col, col+cols). Columns are counted in elements:
// values, or quantization blocks.
type window struct{ row, n, col, cols int64 }

// wide reports whether the window has whole rows of v.
func (w window) wide(v view) bool { return w.col == 0 && w.cols == width(v) }

// width is the number of elements of a row.
func width(v view) int64 { return inner(v.shape()) / int64(v.elem().BlockLen()) }

// elemBytes is the size of one element.
func elemBytes(v view) int64 { return int64(v.elem().BlockSize()) }

// bytes is the size of a window's rows of v.
func (w window) bytes(v view) int64 { return w.n * w.cols * elemBytes(v) }

// inner is the innermost dimension; that of a single value is 1.
func inner(shape []int64) int64 {
	if len(shape) == 0 {
		return 1
	}
	return shape[len(shape)-1]
}

// rowsIn is the product of all dimensions but the innermost.
func rowsIn(shape []int64) int64 {
	n := int64(1)
	for _, d := range shape[:max(0, len(shape)-1)] {
		n *= d
	}
	return n
}

// indexOf is the position of a row's column in a tensor of this shape, outermost dimension first.
func indexOf(shape []int64, row, column int64) []int64 {
	if len(shape) < 2 {
		return []int64{column}
	}
	idx := make([]int64, len(shape))
	idx[len(shape)-1] = column
	for i := len(shape) - 2; i >= 0; i-- {
		idx[i] = row % shape[i]
		row /= shape[i]
	}
	return idx
}
