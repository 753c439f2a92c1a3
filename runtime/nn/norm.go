package nn

import (
	"math"

	"github.com/moeconv/moeconv/convert/family"
	"github.com/moeconv/moeconv/runtime/kernel"
)

// normalise is n rows of x after a norm, as the next layer's input.
func (s *State) normalise(x kernel.Mat, w norm, n int) *input {
	e := s.d.Params.Embedding
	out := mat(&s.norm, n, e)
	s.d.workers.rows(n, 4*e, func(_, lo, hi int) {
		for t := lo; t < hi; t++ {
			s.d.norm(out.Row(t, e), x.Row(t, e), w)
		}
	})
	return s.in.set(out, n, e)
}

// norm is the model's norm of src, which dst may be.
func (d *Decoder) norm(dst, src []float32, w norm) {
	if d.Params.Graph.Norm == family.LayerNorm || d.Params.Original.LayerNorm {
		layerNorm(dst, src, w.weight, d.Params.Epsilon)
	} else {
		rmsNorm(dst, src, w.weight, d.Params.Epsilon)
	}
	if w.bias != nil {
		add(dst, w.bias)
	}
}

// rmsNorm is src / sqrt(mean(src*src) + epsilon) * weight. Weight may be nil. Squares, root and quotient are rounded to
// float32 as in ggml: weights are short numbers, so that many a result lies half way between two steps of eight bits, and
// the last bit decides where it goes.
func rmsNorm(dst, src []float32, weight vector, epsilon float32) {
	sum := 0.0
	for _, v := range src {
		sum += float64(v * v)
	}
	scale := inverseRoot(float32(sum/float64(len(src))) + epsilon)
	dst = dst[:len(src)]
	if weight == nil {
		for i, v := range src {
			dst[i] = v * scale
		}
		return
	}
	for i, v := range src {
		dst[i] = v * scale * weight[i]
	}
}

// layerNorm is (src - mean(src)) / sqrt(variance(src) + epsilon) * weight.
func layerNorm(dst, src []float32, weight vector, epsilon float32) {
	sum, squares := 0.0, 0.0
	for _, v := range src {
		sum += float64(v)
	}
	mean := float32(sum / float64(len(src)))
	dst = dst[:len(src)]
	for i, v := range src {
		dst[i] = v - mean
		squares += float64(dst[i]) * float64(dst[i])
	}
	scale := inverseRoot(float32(squares/float64(len(src))) + epsilon)
	for i := range dst {
		dst[i] = dst[i] * scale * weight[i]
	}
}

// inverseRoot is 1 / sqrt(x), both operations rounded.
func inverseRoot(x float32) float32 { return 1 / float32(math.Sqrt(float64(x))) }

// normHeads normalises rows lo to hi of x: each head of dim elements, or all heads together if there are as many weights.
func (s *State) normHeads(x kernel.Mat, w vector, heads, dim, lo, hi int) {
	if len(w) == heads*dim {
		heads, dim = 1, heads*dim
	}
	for t := lo; t < hi; t++ {
		row := x.Row(t, heads*dim)
		for h := range heads {
			head := row[h*dim:][:dim]
			rmsNorm(head, head, w, s.d.Params.Epsilon)
		}
	}
}
