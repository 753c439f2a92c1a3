package convert

import (
	"fmt"

	"github.com/moeconv/moeconv/gguf"
)

// newStack puts views of one shape one after the other, in a new outermost dimension. Where some experts are
// quantized in the checkpoint and others are not, their values meet in F32.
func newStack(ins []view) (view, error) {
	ins = alike(ins)
	dims := append([]int64{int64(len(ins))}, ins[0].shape()...)
	rows := rowsIn(ins[0].shape())
	for _, in := range ins {
		if in.elem() != ins[0].elem() {
			return nil, fmt.Errorf("experts of types %v and %v cannot be stacked", ins[0].elem(), in.elem())
		}
	}
	unit := ins[0].units()
	if unit == 1 {
		unit = rows // an expert is the natural piece, unless its own making asks for less
	}
	return rowMap{ins, dims, unit, func(row, n int64) []segment {
		var out []segment
		for n > 0 {
			in := row % rows
			k := min(n, rows-in)
			out = append(out, segment{src: int(row / rows), row: in, step: 1, n: k, dst: row, stride: 1})
			row, n = row+k, n-k
		}
		return out
	}}, nil
}

// alike makes plain views of different types ones of F32.
func alike(ins []view) []view {
	mixed := false
	for _, in := range ins {
		if in.elem().BlockLen() > 1 {
			return ins
		}
		mixed = mixed || in.elem() != ins[0].elem()
	}
	if !mixed {
		return ins
	}
	out := make([]view, len(ins))
	for i, in := range ins {
		if out[i] = in; in.elem() != gguf.F32 {
			out[i] = mapped{in, func(v float32) float32 { return v }}
		}
	}
	return out
}
