package convert

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/moeconv/moeconv/convert/family"
	"github.com/moeconv/moeconv/gguf"
)

// counted is a tensor in memory whose values count up from 0.
type counted []int64

func (c counted) shape() []int64                          { return c }
func (c counted) elem() gguf.Type                         { return gguf.F32 }
func (c counted) units() int64                            { return 1 }
func (c counted) origin(row, col int64) (string, []int64) { return "x", indexOf(c, row, col) }

func (c counted) read(_ context.Context, w window, dst []byte) error {
	for r := range w.n {
		for k := range w.cols {
			v := float32((w.row+r)*inner(c) + w.col + k)
			binary.LittleEndian.PutUint32(dst[4*(r*w.cols+k):], math.Float32bits(v))
		}
	}
	return nil
}

// ops are transforms with the position each output value comes from, by its own position (outermost dimension first).
var ops = []struct {
	name  string
	op    family.Op
	shape []int64
	want  []int64
	from  func(i []int64) int64
}{
	{"copy", family.Copy{}, []int64{4, 6}, []int64{4, 6}, func(i []int64) int64 { return i[0]*6 + i[1] }},
	{"permute", family.PermuteRope{Heads: 2}, []int64{12, 3}, []int64{12, 3}, func(i []int64) int64 { return (i[0]/6*6+i[0]%2*3+i[0]%6/2)*3 + i[1] }},
	{"permute bias", family.PermuteRope{Heads: 2}, []int64{12}, []int64{12}, func(i []int64) int64 { return i[0]/6*6 + i[0]%2*3 + i[0]%6/2 }},
	{"even rows", family.Rows{Step: 2}, []int64{2, 6, 3}, []int64{2, 3, 3}, func(i []int64) int64 { return (i[0]*6+2*i[1])*3 + i[2] }},
	{"second half", family.Rows{From: 3}, []int64{2, 6, 3}, []int64{2, 3, 3}, func(i []int64) int64 { return (i[0]*6+3+i[1])*3 + i[2] }},
	{"part of a bias", family.Rows{From: 2, Count: 3}, []int64{8}, []int64{3}, func(i []int64) int64 { return 2 + i[0] }},
	{"odd columns", family.Columns{From: 1, Step: 2}, []int64{3, 6}, []int64{3, 3}, func(i []int64) int64 { return i[0]*6 + 2*i[1] + 1 }},
	{"transpose", family.Transpose{}, []int64{2, 5, 3}, []int64{2, 3, 5}, func(i []int64) int64 { return (i[0]*5+i[2])*3 + i[1] }},
	{"large transpose", family.Transpose{}, []int64{70, 45}, []int64{45, 70}, func(i []int64) int64 { return i[1]*45 + i[0] }},
	{"reshape", family.Reshape{Dims: []int64{0, 4}}, []int64{6, 2}, []int64{3, 4}, func(i []int64) int64 { return i[0]*4 + i[1] }},
	{"squeeze", family.Reshape{Dims: []int64{0, 3}}, []int64{4, 1, 3}, []int64{4, 3}, func(i []int64) int64 { return i[0]*3 + i[1] }},
	{"swap", family.Swap{}, []int64{2, 3, 4, 5}, []int64{2, 4, 3, 5}, func(i []int64) int64 { return ((i[0]*3+i[2])*4+i[1])*5 + i[3] }},
	{"swap of columns", family.Chain{family.Reshape{Dims: []int64{4, 2, 3, 2}}, family.Swap{}, family.Reshape{Dims: []int64{4, 0}}}, []int64{4, 12}, []int64{4, 12},
		func(i []int64) int64 { return i[0]*12 + (i[1]/2%2*3+i[1]/4)*2 + i[1]%2 }},
	{"swap of a vector", family.Chain{family.Reshape{Dims: []int64{2, 3, 1}}, family.Swap{}, family.Reshape{Dims: []int64{0}}}, []int64{6}, []int64{6},
		func(i []int64) int64 { return i[0]%2*3 + i[0]/2 }},
	{"join", family.Join{family.Rows{From: 5}, family.Rows{Count: 2}, family.Rows{From: 2, Count: 3}}, []int64{7, 4}, []int64{7, 4}, func(i []int64) int64 { return (i[0]+5)%7*4 + i[1] }},
	{"map", family.Map{Func: func(v float32) float32 { return v }}, []int64{2, 3}, []int64{2, 3}, func(i []int64) int64 { return i[0]*3 + i[1] }},
	{"heads of a key", family.Chain{family.Group{Heads: 2}, family.Rows{Count: 2}, family.Transpose{}}, []int64{10, 4}, []int64{2, 4, 2},
		func(i []int64) int64 { return (i[0]*5+i[2])*4 + i[1] }},
	{"heads of a value", family.Chain{family.Group{Heads: 2}, family.Rows{From: 2}, family.Flatten{}}, []int64{10, 4}, []int64{6, 4},
		func(i []int64) int64 { return (i[0]/3*5+2+i[0]%3)*4 + i[1] }},
	{"even rows of a transpose", family.Chain{family.Transpose{}, family.Rows{From: 1, Step: 2}}, []int64{2, 3, 6}, []int64{2, 3, 3},
		func(i []int64) int64 { return (i[0]*3+i[2])*6 + 2*i[1] + 1 }},
}

// Every window of every op has the values, and says the origins, of the op's definition.
func TestOps(t *testing.T) {
	for _, tt := range ops {
		v, err := apply(tt.op, counted(tt.shape))
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if !slices.Equal(v.shape(), tt.want) {
			t.Errorf("%s: shape %v, want %v", tt.name, v.shape(), tt.want)
			continue
		}
		rows, cols := rowsIn(v.shape()), width(v)
		for _, w := range windows(rows, cols) {
			if err := checkWindow(v, w, tt.shape, tt.from); err != nil {
				t.Fatalf("%s: %v", tt.name, err)
			}
		}
	}
}

// windows are all windows of a small tensor, and some of a large one.
func windows(rows, cols int64) []window {
	var out []window
	step := max(1, rows*cols/100)
	for row := int64(0); row < rows; row += step {
		for n := int64(1); row+n <= rows; n += step {
			for col := int64(0); col < cols; col += step {
				for k := int64(1); col+k <= cols; k += step {
					out = append(out, window{row, n, col, k})
				}
			}
		}
	}
	return append(out, window{0, rows, 0, cols})
}

func checkWindow(v view, w window, source []int64, from func([]int64) int64) error {
	raw := make([]byte, w.bytes(v))
	if err := v.read(context.Background(), w, raw); err != nil {
		return err
	}
	for r := range w.n {
		for k := range w.cols {
			want := from(indexOf(v.shape(), w.row+r, w.col+k))
			got := math.Float32frombits(binary.LittleEndian.Uint32(raw[4*(r*w.cols+k):]))
			if got != float32(want) {
				return fmt.Errorf("window %v: row %d, column %d is %v, want %d", w, r, k, got, want)
			}
			if _, idx := v.origin(w.row+r, w.col+k); !slices.Equal(idx, indexOf(source, want/inner(source), want%inner(source))) {
				return fmt.Errorf("origin of row %d, column %d is %v, want value %d", w.row+r, w.col+k, idx, want)
			}
		}
	}
	return nil
}

// Ops that a tensor's shape does not allow are errors.
func TestOpShapes(t *testing.T) {
	for _, tt := range []struct {
		op    family.Op
		shape []int64
	}{
		{family.PermuteRope{Heads: 0}, []int64{48, 2}}, {family.PermuteRope{Heads: 5}, []int64{48, 2}}, {family.PermuteRope{Heads: 48}, []int64{48, 2}},
		{family.Rows{From: 4}, []int64{4, 2}}, {family.Rows{From: 1, Count: 4}, []int64{4, 2}}, {family.Rows{From: -1}, []int64{4, 2}},
		{family.Columns{Count: 3}, []int64{4, 2}}, {family.Transpose{}, []int64{4}}, {family.Group{Heads: 3}, []int64{4, 2}}, {family.Group{}, []int64{4, 2}},
		{family.Flatten{}, []int64{4}}, {family.Reshape{Dims: []int64{0, 3}}, []int64{4, 2}}, {family.Normalize{}, []int64{4}},
		{family.Swap{}, []int64{4, 2}}, {family.Join{}, []int64{4, 2}}, {family.Join{family.Copy{}}, []int64{4}}, {family.Join{family.Copy{}, family.Transpose{}}, []int64{4, 2}},
		{family.Join{family.Rows{Count: 5}}, []int64{4, 2}}, {family.Join{family.Copy{}, family.Map{Func: func(v float32) float32 { return v }}, family.Group{Heads: 2}}, []int64{4, 2}},
	} {
		if _, err := apply(tt.op, counted(tt.shape)); err == nil {
			t.Errorf("%T%v of shape %v: no error", tt.op, tt.op, tt.shape)
		}
	}
}
