package gguf

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// MaxDims is the largest number of dimensions a tensor may have (GGML_MAX_DIMS).
const MaxDims = 4

// Shape is a tensor's dimensions, innermost (ne0, the row length) first.
type Shape []int64

// NE is dimension i, 1 beyond the last.
func (s Shape) NE(i int) int64 {
	if i >= len(s) {
		return 1
	}
	return s[i]
}

// Elements is the product of all dimensions. Shapes read from files are checked against overflow first: see Check.
func (s Shape) Elements() int64 {
	n := int64(1)
	for _, d := range s {
		n *= d
	}
	return n
}

// Rows is the number of rows: ne1*ne2*ne3.
func (s Shape) Rows() int64 {
	if len(s) == 0 {
		return 1
	}
	return s[1:].Elements()
}

// Check fails on more than MaxDims dimensions, a dimension below 1, or a product above MaxInt64.
func (s Shape) Check() error {
	if len(s) > MaxDims {
		return fmt.Errorf("%d dimensions, at most %d are allowed", len(s), MaxDims)
	}
	n := int64(1)
	for i, d := range s {
		if d < 1 {
			return fmt.Errorf("dimension %d is %d", i, d)
		}
		if n > math.MaxInt64/d {
			return fmt.Errorf("dimensions %v overflow", s)
		}
		n *= d
	}
	return nil
}

// Equal compares shapes; trailing dimensions of 1 do not count.
func (s Shape) Equal(o Shape) bool {
	for i := range max(len(s), len(o)) {
		if s.NE(i) != o.NE(i) {
			return false
		}
	}
	return true
}

// Clone copies s.
func (s Shape) Clone() Shape { return slices.Clone(s) }

// String is the shape in braces, innermost first: {4096, 6400, 16}.
func (s Shape) String() string {
	parts := make([]string, len(s))
	for i, d := range s {
		parts[i] = fmt.Sprint(d)
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

// TensorInfo names and shapes one tensor of a Source.
type TensorInfo struct {
	Name  string
	Type  Type
	Shape Shape
}

// RowBytes is the size of one encoded row; 0 when the row does not fit the type (readers and writers refuse such tensors).
func (t TensorInfo) RowBytes() int64 {
	n, err := t.Type.RowBytes(t.Shape.NE(0))
	if err != nil {
		return 0
	}
	return n
}

// Bytes is the size of the whole tensor's encoded data.
func (t TensorInfo) Bytes() int64 { return t.RowBytes() * t.Shape.Rows() }

// Check fails when the name, shape or type cannot stand in a GGUF file.
func (t TensorInfo) Check() error {
	if err := t.Shape.Check(); err != nil {
		return fmt.Errorf("tensor %q: %w", t.Name, err)
	}
	row, err := t.Type.RowBytes(t.Shape.NE(0))
	if err != nil {
		return fmt.Errorf("tensor %q: %w", t.Name, err)
	}
	if rows := t.Shape.Rows(); rows > 0 && row > math.MaxInt64/rows {
		return fmt.Errorf("tensor %q: size overflows", t.Name)
	}
	return nil
}
