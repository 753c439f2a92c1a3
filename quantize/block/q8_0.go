package block

import (
	"math"

	"github.com/moeconv/moeconv/gguf"
)

// A Q8_0 block: f16 scale d, 32 int8. Value = d*q.
const sizeQ8_0 = 2 + len32

func init() {
	register(Codec{Type: gguf.Q8_0, Encode: encodeQ8_0, Decode: decodeQ8_0, Validate: validate16(gguf.Q8_0, 0)})
}

// encodeQ8_0 scales the largest magnitude to 127 and rounds half away from zero. The reference ignores importance here.
func encodeQ8_0(dst []byte, src, _ []float32) error {
	for b := 0; len(src) >= len32; b, src, dst = b+1, src[len32:], dst[sizeQ8_0:] {
		x, y := (*[len32]float32)(src), (*[sizeQ8_0]byte)(dst)
		d := maxAbs32(x) / 127
		h := F32ToF16(d)
		if !finite16(h) {
			return badScale(gguf.Q8_0, x[:], b*len32, d)
		}
		store16(y[:2], h)
		roundBlock8((*[len32]byte)(y[2:]), x, d)
	}
	return nil
}

// roundBlock8 writes x/d as int8, by way of the reciprocal as the reference does.
func roundBlock8(q *[len32]byte, x *[len32]float32, d float32) {
	var id float32
	if d != 0 {
		id = 1 / d
	}
	if id > math.MaxFloat32 { // d is so small that its reciprocal overflows
		for i, v := range x {
			q[i] = byte(roundInt8(float32(v * id)))
		}
		return
	}
	for i, v := range x {
		q[i] = byte(roundSmall(float32(v * id)))
	}
}

// maxAbs32 is the largest magnitude of a block.
func maxAbs32(x *[len32]float32) float32 {
	var m float32
	for _, v := range x {
		if a := abs32(v); a > m {
			m = a
		}
	}
	return m
}

func decodeQ8_0(dst []float32, src []byte) {
	for ; len(dst) >= len32; dst, src = dst[len32:], src[sizeQ8_0:] {
		y, x := (*[len32]float32)(dst), (*[sizeQ8_0]byte)(src)
		d := F16ToF32(load16(x[:2]))
		for i := range y {
			y[i] = float32(int8(x[2+i])) * d
		}
	}
}
