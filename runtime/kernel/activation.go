package kernel

import "math"

// Softmax replaces x by exp(scale*x) divided by the sum of these. A NaN in x makes all of it NaN.
func Softmax(x []float32, scale float32) {
	if len(x) == 0 {
		return
	}
	top := x[0]
	for _, v := range x {
		if v > top {
			top = v
		}
	}
	sum := expSum(x, scale, top)
	inv := float32(1 / sum)
	for i := range x {
		x[i] *= inv
	}
}

// SiLU is gate[i] = gate[i] / (1 + exp(-gate[i])) * up[i].
func SiLU(gate, up []float32) {
	if len(gate) > 0 {
		silu(gate, up[:len(gate)])
	}
}

// expSumGeneric replaces x by exp(scale*(x-top)) and returns the sum of these.
func expSumGeneric(x []float32, scale, top float32) float64 {
	sum := 0.0
	for i, v := range x {
		e := float32(math.Exp(float64(float32(v-top) * scale)))
		x[i] = e
		sum += float64(e)
	}
	return sum
}

func siluGeneric(gate, up []float32) {
	for i, g := range gate {
		gate[i] = g / (1 + float32(math.Exp(float64(-g)))) * up[i]
	}
}
