//go:build !amd64 || purego

package kernel

import "github.com/moeconv/moeconv/gguf"

func implementations() []impl { return []impl{{"generic", true, func() {}}} }

// Implementation is the name of the form in use: generic.
func Implementation() string { return "generic" }

func matMul(dst, w, x Mat, rows, tokens, k int) { matMulGeneric(dst, w, x, rows, tokens, k) }

func expSum(x []float32, scale, top float32) float64 { return expSumGeneric(x, scale, top) }

func silu(gate, up []float32) { siluGeneric(gate, up) }

func haveUnpacker(gguf.Type) bool { return false }

func (l *layout) unpack(t gguf.Type, dst []weights, src []byte, cols int) {
	l.unpackGeneric(t, dst, src, cols)
}

func products(dst Mat, w []weights, x Inputs, rows, tokens int, mins bool) {
	productsGeneric(dst, w, x, rows, tokens, mins)
}

func putGroup(dst *inputs, src []float32, blocks32 bool) (ok bool) {
	return putGroupGeneric(dst, src, blocks32)
}

func matMulOne([]float32, gguf.Type, []byte, Inputs, int) (done bool) { return false }
