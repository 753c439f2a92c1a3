package block

import "github.com/moeconv/moeconv/gguf"

// A Q8_0 block: f16 scale d, 32 int8. Value = d*q.
const sizeQ8_0 = 2 + len32

func init() {
	register(Codec{Type: gguf.Q8_0, Encode: encodeQ8_0, Decode: decodeQ8_0, Validate: validate16(gguf.Q8_0, 0)})
}

// encodeQ8_0 scales the largest magnitude to 127 and rounds half away from zero. The reference ignores importance here.
func encodeQ8_0(dst []byte, src, _ []float32) error {
	return each32(gguf.Q8_0, dst, src, blockQ8_0)
}

func blockQ8_0(y []byte, x *[len32]float32) (bad float32) {
	d := maxAbs(x[:]) / 127
	if _, bad := storeScale(y[:2], d); bad != 0 {
		return bad
	}
	round32((*[len32]byte)(y[2:]), x, d)
	return 0
}

// round32 writes x/d as int8, by way of the reciprocal as the reference does.
func round32(q *[len32]byte, x *[len32]float32, d float32) {
	id, ok := reciprocal(d)
	if !ok {
		clear(q[:])
		return
	}
	for i, v := range x {
		q[i] = byte(roundSmall(float32(v * id)))
	}
}

func decodeQ8_0(dst []float32, src []byte) {
	for ; len(dst) >= len32; dst, src = dst[len32:], src[sizeQ8_0:] {
		y, x := (*[len32]float32)(dst), (*[sizeQ8_0]byte)(src)
		d := F16ToF32(load16(x[:2]))
		for i := range y {
			y[i] = float32(float32(int8(x[2+i])) * d)
		}
	}
}
