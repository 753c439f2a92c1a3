package block

import (
	"math"

	"github.com/moeconv/moeconv/gguf"
)

const (
	len32  = 32  // elements of a block of the _0 and _1 types
	len256 = 256 // elements of a super-block of the _K types
)

// each32 encodes a row block by block. encode returns a scale that is not finite in f16, or 0.
func each32(t gguf.Type, dst []byte, src []float32, encode func(y []byte, x *[len32]float32) float32) error {
	size := t.BlockSize()
	for b := 0; b < len(src)/len32; b++ {
		x := (*[len32]float32)(src[b*len32:])
		if bad := encode(dst[b*size:(b+1)*size], x); bad != 0 {
			return badScale(t, x[:], b*len32, bad)
		}
	}
	return nil
}

// eachBlock is each32 for any type whose blocks stand by themselves.
func eachBlock(t gguf.Type, dst []byte, src []float32, encode func(y []byte, x []float32) float32) error {
	n, size := t.BlockLen(), t.BlockSize()
	for b := 0; b < len(src)/n; b++ {
		x := src[b*n : (b+1)*n]
		if bad := encode(dst[b*size:(b+1)*size], x); bad != 0 {
			return badScale(t, x, b*n, bad)
		}
	}
	return nil
}

// each32Weighted is each32 under importance: encode gets the weights of the block's errors, which depend on the
// mean square of the whole row.
func each32Weighted(t gguf.Type, dst []byte, src, importance []float32, encode func(y []byte, x, w *[len32]float32) float32) error {
	var weights [len32]float32
	sigma2 := meanSquare(src, float32(len(src)))
	if sigma2-sigma2 != 0 { // no block of the row would be encoded
		return badScale(t, src, 0, sigma2)
	}
	return each32(t, dst, src, func(y []byte, x *[len32]float32) float32 {
		weigh(weights[:], x[:], importance, sigma2)
		importance = importance[len32:]
		return encode(y, x, &weights)
	})
}

// each256 is each32 for super-blocks. encode gets the block's importance, or nil.
func each256(t gguf.Type, dst []byte, src, importance []float32, encode func(y []byte, x, w *[len256]float32) float32) error {
	size := t.BlockSize()
	for b := 0; b < len(src)/len256; b++ {
		x := (*[len256]float32)(src[b*len256:])
		var w *[len256]float32
		if importance != nil {
			w = (*[len256]float32)(importance[b*len256:])
		}
		if bad := encode(dst[b*size:(b+1)*size], x, w); bad != 0 {
			return badScale(t, x[:], b*len256, bad)
		}
	}
	return nil
}

// storeScale rounds a scale to f16 and stores it. It returns what was stored and, if that is not finite, d.
func storeScale(p []byte, d float32) (stored, bad float32) {
	h := F32ToF16(d)
	store16(p, h)
	if !finite16(h) {
		return 0, d
	}
	return F16ToF32(h), 0
}

// firstBad is the first of the scales that is NaN or Inf, 0 if there is none. The reference compares with NaN,
// which drops such a group silently.
func firstBad(scales []float32) float32 {
	if i := notFinite(scales); i >= 0 {
		return scales[i]
	}
	return 0
}

// meanSquare is the sum of squares in order, over n.
func meanSquare(x []float32, n float32) float32 { return sumSquares(x) / n }

func sumSquares(x []float32) float32 {
	var sum float32
	for _, v := range x {
		sum += float32(v * v)
	}
	return sum
}

// weigh writes w[i]*sqrt(sigma2 + x[i]^2), the reference's weights under an importance matrix, and returns their sum.
func weigh(out, x, w []float32, sigma2 float32) float32 {
	x, w = x[:len(out)], w[:len(out)]
	var sum float32
	for i, v := range x {
		out[i] = float32(w[i] * sqrt32(sigma2+float32(v*v)))
		sum += out[i]
	}
	return sum
}

// reciprocal is 1/d, 0 for 0. It is not ok where that overflows: the reference then converts Inf and NaN to
// integers, which on x86 makes every quant 0.
func reciprocal(d float32) (id float32, ok bool) {
	if d == 0 {
		return 0, true
	}
	id = 1 / d
	return id, abs32(id) <= math.MaxFloat32
}

// extreme is the first value of largest magnitude.
func extreme(x *[len32]float32) float32 {
	var amax, top float32
	for _, v := range x {
		if a := abs32(v); a > amax {
			amax, top = a, v
		}
	}
	return top
}

// maxAbs is the largest magnitude.
func maxAbs(x []float32) float32 {
	var m float32
	for _, v := range x {
		if a := abs32(v); a > m {
			m = a
		}
	}
	return m
}

// bounds are the least and the greatest value.
func bounds(x *[len32]float32) (lo, hi float32) {
	lo, hi = math.MaxFloat32, -math.MaxFloat32
	for _, v := range x {
		if v < lo {
			lo = v
		}
		if v > hi {
			hi = v
		}
	}
	return lo, hi
}

// pack32 puts the quants of the block's first half in the low nibbles and those of the second in the high ones.
func pack32(p []byte, q *[len32]uint8) {
	p = p[:16]
	for i := range p {
		p[i] = q[i]&15 | q[i+16]<<4
	}
}

// pack32High is pack32 for five bits; the fifth ones go, in order, to the four bytes before the nibbles.
func pack32High(p []byte, q *[len32]uint8) {
	var high uint32
	for i, v := range q {
		high |= uint32(v>>4&1) << i
	}
	store32(p[:4], high)
	pack32(p[4:], q)
}
