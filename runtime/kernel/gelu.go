package kernel

import (
	"math"
	"sync"

	"github.com/moeconv/moeconv/quantize/block"
)

// geluTable has gelu(x) for each x of 16 bits, rounded to 16 bits as the reference's table is.
var geluTable = sync.OnceValue(func() *[1 << 16]float32 {
	var t [1 << 16]float32
	for i := range t {
		x := block.F16ToF32(uint16(i))
		cube := float32(0.79788456080286535587989211986876) * x * (1 + float32(float32(0.044715)*x*x))
		t[i] = block.F16ToF32(block.F32ToF16(0.5 * x * (1 + float32(math.Tanh(float64(cube))))))
	}
	return &t
})

// GELU is gate[i] = gelu(gate[i]) * up[i], with the tanh form of gelu on a gate rounded to 16 bits (ggml_vec_geglu_f32).
func GELU(gate, up []float32) {
	table := geluTable()
	up = up[:len(gate)]
	for i, g := range gate {
		switch {
		case g <= -10:
			gate[i] = 0
		case g >= 10:
			gate[i] = g * up[i]
		default:
			gate[i] = table[block.F32ToF16(g)] * up[i]
		}
	}
}
