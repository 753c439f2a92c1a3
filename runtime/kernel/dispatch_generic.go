//go:build !amd64 || purego

package kernel

import "github.com/moeconv/moeconv/gguf"

func implementations() []impl { return []impl{{"generic", true, func() {}}} }

// Implementation is the name of the form in use: generic.
func Implementation() string { return "generic" }

func matMul(dst, w, x Mat, rows, tokens, k int) { matMulGeneric(dst, w, x, rows, tokens, k) }

func matMulHalves(dst Mat, w Halves, x Mat, rows, tokens, k int) {
	matMulHalvesGeneric(dst, w, x, rows, tokens, k)
}

func sumRows(sums []float32, rows []byte, stride int, weights []float32) {
	sumRowsGeneric(sums, rows, stride, weights)
}

func turn(Mat, Mat, int, int) (rows, cols int) { return 0, 0 }

func turnF16(Mat, []byte, int, int, int) (rows, cols int) { return 0, 0 }

func expSum(x []float32, scale, top float32) float64 { return expSumGeneric(x, scale, top) }

func silu(gate, up []float32) { siluGeneric(gate, up) }

// kernels are a type's.
type kernels struct{}

// Integer reports whether rows of type t are multiplied in integers here.
func Integer(gguf.Type) bool { return false }

func (l *layout) matMulEncoded(dst Mat, t gguf.Type, w []byte, x Inputs, rows, tokens int, _ *Scratch) {
	l.matMulEncodedGeneric(dst, t, w, x, rows, tokens)
}

func putGroup(dst *inputs, src []float32, blocks32 bool) (ok bool) {
	return putGroupGeneric(dst, src, blocks32)
}

func unpack(l *layout, t gguf.Type, dst []weights, src []byte) {
	l.unpackGeneric(t, dst, src, len(dst)*groupLen)
}
