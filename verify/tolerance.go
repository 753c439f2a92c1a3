package verify

import (
	"math"

	"github.com/moeconv/moeconv/gguf"
)

// tolerance is how far a sound encoding may lie from its source.
type tolerance struct {
	nmse float64 // squared error over the source's squares, of an expert or tensor
	gain float64 // difference from 1 of the factor by which the source comes nearest
}

// tolerances of the types. Sound encodings of trained and random weights, with and without an importance matrix, stay below
// two thirds of them; a wrong expert, a swapped or shifted one has about 2, a missing one 1.
var tolerances = map[gguf.Type]tolerance{
	gguf.F32: {1e-12, 1e-6}, gguf.F16: {1e-5, 1e-3}, gguf.BF16: {1e-4, 2e-3},
	gguf.Q8_0: {1e-3, 6e-3}, gguf.Q6_K: {3e-3, 4e-3},
	gguf.Q5_K: {0.01, 0.01}, gguf.Q5_0: {0.01, 0.04}, gguf.Q5_1: {0.01, 0.02},
	gguf.Q4_K: {0.05, 0.03}, gguf.Q4_0: {0.05, 0.12}, gguf.Q4_1: {0.05, 0.05},
	gguf.IQ4_NL: {0.05, 0.04}, gguf.IQ4_XS: {0.05, 0.04}, gguf.MXFP4: {0.05, 0.12}, gguf.NVFP4: {0.05, 0.12},
	gguf.Q3_K: {0.12, 0.08}, gguf.IQ3_S: {0.12, 0.1}, gguf.IQ3_XXS: {0.15, 0.08},
	gguf.Q2_K: {0.3, 0.2}, gguf.IQ2_S: {0.3, 0.1}, gguf.IQ2_XS: {0.4, 0.15}, gguf.IQ2_XXS: {0.45, 0.2},
	gguf.IQ1_M: {0.55, 0.3}, gguf.IQ1_S: {0.6, 0.3},
	gguf.TQ1_0: {0.85, 0.6}, gguf.TQ2_0: {0.85, 0.6}, gguf.Q2_0: {0.75, 0.4}, gguf.Q1_0: {0.6, 0.6},
}

// toleranceOf is the bound of a type; of one that is not in the table, by its bits.
func toleranceOf(t gguf.Type) tolerance {
	if b, ok := tolerances[t]; ok {
		return b
	}
	switch bits := t.BitsPerWeight(); {
	case bits >= 4:
		return tolerance{0.05, 0.12}
	case bits >= 3:
		return tolerance{0.15, 0.2}
	case bits >= 2:
		return tolerance{0.4, 0.3}
	}
	return tolerance{0.85, 0.6}
}

// cosine is the least cosine: that of an error of the bound's size at a right angle to the source, and some room.
func (b tolerance) cosine() float64 { return math.Sqrt(1-b.nmse) - b.nmse/2 }

// row is the bound of a single row's error, which chance makes larger than that of many.
func (b tolerance) row() float64 { return min(0.95, 8*b.nmse) }
