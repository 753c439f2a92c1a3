package kernel

import (
	"fmt"
	"math"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/quantize/block"
)

// Inputs is rows of activations, rounded to Q8_0 or Q8_K for products in integers.
type Inputs struct {
	dot    gguf.Type
	cols   int
	groups int // of a row
	stride int // groups from row to row
	data   []inputs
}

// alignedGroups is the least number of groups allocated: memory of more than 32 KiB begins at a page.
const alignedGroups = 33 << 10 / 512

// Reset makes room for n rows of cols elements, rounded to t.
func (x *Inputs) Reset(t gguf.Type, n, cols int) {
	x.dot, x.cols, x.groups = t, cols, groupsOf(cols)
	x.stride = x.groups
	need := n * x.groups
	if cap(x.data) < need {
		x.data = make([]inputs, max(need, alignedGroups))
	}
	x.data = x.data[:need]
}

// From is the rows of x from row r on.
func (x Inputs) From(r int) Inputs {
	x.data = x.data[r*x.stride:]
	return x
}

// Every is rows r, r+n, r+2n and so on of x.
func (x Inputs) Every(r, n int) Inputs {
	x = x.From(r)
	x.stride *= n
	return x
}

// Put rounds src, of the row's length, to row r. It fails when src holds a value that the type cannot hold; of a NaN
// come NaNs.
func (x *Inputs) Put(r int, src []float32) error {
	row := x.data[r*x.stride:][:x.groups]
	for src = src[:x.cols]; len(src) > 0; row = row[1:] {
		part := src[:min(groupLen, len(src))]
		if !putGroup(&row[0], part, x.dot == gguf.Q8_0) {
			return fmt.Errorf("kernel: activations: a value is too large for %v", x.dot)
		}
		src = src[len(part):]
	}
	return nil
}

// putGroupGeneric rounds up to 256 elements, whole blocks; ok is false if a scale is not finite though the elements are.
func putGroupGeneric(dst *inputs, src []float32, blocks32 bool) (ok bool) {
	*dst = inputs{}
	if blocks32 {
		for b := 0; 32*b < len(src); b++ {
			scale, ok := quantsQ8_0((*[32]int8)(dst.quants[32*b:]), src[32*b:][:32])
			if !ok {
				return false
			}
			dst.scales[b] = scale
		}
	} else {
		scale := quantsQ8_K(&dst.quants, src)
		for b := range dst.scales {
			dst.scales[b] = scale
		}
	}
	for b := range 8 {
		var sums [2]int32
		for i, v := range dst.quants[32*b:][:32] {
			sums[i/16] += int32(v)
		}
		both := sums[0] + sums[1]
		dst.bias16[2*b], dst.bias16[2*b+1], dst.bias32[b] = -128*sums[0], -128*sums[1], -128*both
		dst.sums16[b], dst.sums16[8+b], dst.sums32[b] = int16(sums[0]), int16(sums[1]), int16(both)
		dst.sums[b] = dst.scales[b] * float32(both)
	}
	return true
}

const magic = 3 << 22 // adding it to a small float32 leaves an integer

// quantsQ8_0 rounds as the reference's vector code does, which is what runs there: by 127/max instead of by the
// reciprocal of the scale, and halves to even, where the codec (the reference's quantizer) rounds them away from zero.
// The scale of a block with a NaN is NaN; ok is false if a finite block's scale is not.
func quantsQ8_0(q *[32]int8, src []float32) (d float32, ok bool) {
	top, nan := float32(0), false
	for _, v := range src[:32] {
		top = max(top, float32(math.Abs(float64(v))))
		nan = nan || v != v
	}
	if nan {
		return float32(math.NaN()), true
	}
	d = block.F16ToF32(block.F32ToF16(top / 127))
	if d-d != 0 {
		return d, false
	}
	inv := float32(0)
	if d != 0 {
		inv = 127 / top
	}
	for i, v := range src[:32] {
		q[i] = int8(float32(float32(v*inv)+magic) - magic)
	}
	return d, true
}

// quantsQ8_K is the codec's rounding, but for the signs of the scale and all quants where the codec's are negative.
// The scale of a block with a NaN or an infinity is NaN.
func quantsQ8_K(q *[groupLen]int8, src []float32) (d float32) {
	var top, sum float32
	for _, v := range src {
		top = max(top, float32(math.Abs(float64(v))))
		sum += v - v
	}
	if sum != 0 {
		return float32(math.NaN())
	}
	inverse := 127 / top
	if inverse-inverse != 0 { // too small for a scale
		return 0
	}
	for i, v := range src {
		q[i] = int8(min(127, float32(float32(inverse*v)+magic)-magic))
	}
	return 1 / inverse
}
