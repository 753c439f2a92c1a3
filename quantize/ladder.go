package quantize

import (
	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/gguf/names"
	"github.com/moeconv/moeconv/quantize/block"
)

// rung is a type that a tensor may get, with what it costs.
type rung struct {
	typ   gguf.Type
	bytes int64
	noise float64 // squared error by squared weight, times what the tensor counts for
}

// squaredError is the mean squared error of a type by the mean square of the weights, measured by encoding a million
// normally distributed ones with the reference; types that need an importance matrix with one of ones. Types that another
// beats in both size and error are left out, but for those that stand in where rows do not divide by 256.
var squaredError = []struct {
	typ   gguf.Type
	noise float64
}{
	{gguf.IQ1_S, 0.236}, {gguf.IQ1_M, 0.203}, {gguf.IQ2_XXS, 0.118}, {gguf.IQ2_XS, 0.0897}, {gguf.IQ2_S, 0.0619},
	{gguf.Q2_K, 0.088}, {gguf.IQ3_XXS, 0.033}, {gguf.Q3_K, 0.0228}, {gguf.IQ4_XS, 0.00589}, {gguf.IQ4_NL, 0.0058}, {gguf.Q4_K, 0.00509},
	{gguf.Q5_0, 0.00182}, {gguf.Q5_K, 0.00131}, {gguf.Q5_1, 0.00143}, {gguf.Q6_K, 0.000315}, {gguf.Q8_0, 2.87e-05}, {gguf.BF16, 1.3e-06},
}

// ladder lists the types that a tensor may have, each larger and better than the one before. The source's own type is the
// last one, and the only one where that is quantized already and must stay.
func (a *assigner) ladder(t gguf.TensorInfo, weight float64, matrix bool) []rung {
	top := rung{t.Type, t.Bytes(), 0}
	if t.Type.Quantized() && !a.options.AllowRequantize {
		return []rung{top}
	}
	var out []rung
	for _, e := range squaredError {
		row, err := e.typ.RowBytes(t.Shape.NE(0))
		if _, ok := block.For(e.typ); err != nil || !ok || !matrix && needsMatrix(e.typ) || e.typ == t.Type {
			continue
		}
		r := rung{e.typ, row * t.Shape.Rows(), weight * e.noise}
		for len(out) > 0 && out[len(out)-1].bytes >= r.bytes && out[len(out)-1].noise >= r.noise {
			out = out[:len(out)-1]
		}
		if r.bytes < top.bytes && (len(out) == 0 || out[len(out)-1].noise > r.noise) {
			out = append(out, r)
		}
	}
	return append(out, top)
}

// needsMatrix reports whether a type is of no use without an importance matrix.
func needsMatrix(t gguf.Type) bool { return requiresImportance("", t, Scheme{}) }

// counts is what a tensor's error counts for against others'. A product of a matrix with activations adds noise in proportion
// to the matrix's relative error, whatever its size; so large matrices of which a token meets a small part, the routed
// experts, get the fewest bits. What a block adds is diluted by what the other blocks add, the output's noise is not. The
// factors follow the KL divergence of a trained mixture of experts (testdata/tiny) with one role after the other in Q3_K.
func (m model) counts(t gguf.TensorInfo) float64 {
	n := 1.0
	switch c := CategoryOf(t.Name); {
	case c == Output:
		return float64(4 * m.blocks)
	case c == TokenEmbedding:
		return float64(m.blocks)
	case c == AttnQ, c == AttnK:
		return 0.5
	case c.VLike(), c == Down:
		n = 2
	}
	if m.experts > 0 && names.ClassOf(t.Name) == names.FeedForward { // the dense blocks of a mixture are its first
		n *= 4
	}
	return n
}
