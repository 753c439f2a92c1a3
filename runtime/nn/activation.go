package nn

import (
	"math"

	"github.com/moeconv/moeconv/convert/family"
	"github.com/moeconv/moeconv/runtime/kernel"
)

// activate is act(gate, up) for n rows, in the memory of either.
func (s *State) activate(f ffn, gate, up kernel.Mat, n, width int) kernel.Mat {
	act, out := kernel.SiLU, gate
	switch {
	case f.gate == nil: // Nemotron-H
		act, out = func(x, _ []float32) { squaredReLU(x) }, up
	case s.d.Params.Graph.Act == family.SwiGLUOAI:
		act = swigluOAI
	case s.d.Params.Graph.Act == family.GELU:
		act = kernel.GELU
	}
	s.d.workers.rows(n, 8*width, func(_, lo, hi int) {
		for t := lo; t < hi; t++ {
			act(out.Row(t, width), up.Row(t, width))
		}
	})
	return out
}

// squaredReLU is x = max(x, 0) squared.
func squaredReLU(x []float32) {
	for i, v := range x {
		v = max(v, 0)
		x[i] = v * v
	}
}

// swigluOAI is GPT-OSS's activation: both sides are bounded, and up's is moved by 1.
func swigluOAI(gate, up []float32) {
	const alpha, limit = 1.702, 7
	up = up[:len(gate)]
	for i := range gate {
		g, u := min(gate[i], limit), min(max(up[i], -limit), limit)
		gate[i] = g / (1 + float32(math.Exp(float64(-g*alpha)))) * (u + 1)
	}
}

func sigmoid(x float32) float32 { return float32(1 / (1 + math.Exp(-float64(x)))) }

// sigmoidTimes is x *= sigmoid(gate).
func sigmoidTimes(x, gate []float32) {
	gate = gate[:len(x)]
	for i := range x {
		x[i] *= sigmoid(gate[i])
	}
}

// clamp bounds the magnitudes in x; by 0 it does nothing.
func clamp(x []float32, bound float32) {
	if bound == 0 {
		return
	}
	for i, v := range x {
		x[i] = min(max(v, -bound), bound)
	}
}

// scale is x *= f.
func scale(x []float32, f float32) {
	for i := range x {
		x[i] *= f
	}
}
