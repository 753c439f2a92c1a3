//go:build !amd64 || purego

package kernel

func implementations() []impl { return []impl{{"generic", true, func() {}}} }

// Implementation is the name of the form in use: generic.
func Implementation() string { return "generic" }

func matMul(dst, w, x Mat, rows, tokens, k int) { matMulGeneric(dst, w, x, rows, tokens, k) }

func expSum(x []float32, scale, top float32) float64 { return expSumGeneric(x, scale, top) }

func silu(gate, up []float32) { siluGeneric(gate, up) }
