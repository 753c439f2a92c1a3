package block

import "github.com/moeconv/moeconv/gguf"

// A Q8_1 block: f16 scale d, f16 d*sum of the quants, 32 int8. Value = d*q. It is a type of
// activations only: ggml multiplies Q4_1 and Q5_1 rows with it.
const sizeQ8_1 = 4 + len32

func init() {
	register(Codec{Type: gguf.Q8_1, Encode: encodeQ8_1, Decode: decodeQ8_1, Validate: validate16(gguf.Q8_1, 0, 2)})
}

// encodeQ8_1 refuses, beside scales, sums that f16 cannot hold.
func encodeQ8_1(dst []byte, src, _ []float32) error {
	return each32(gguf.Q8_1, dst, src, blockQ8_1)
}

func blockQ8_1(y []byte, x *[len32]float32) (bad float32) {
	d := maxAbs(x[:]) / 127
	if _, bad := storeScale(y[:2], d); bad != 0 {
		return bad
	}
	q := (*[len32]byte)(y[4:])
	round32(q, x, d)
	sum := 0
	for _, b := range q {
		sum += int(int8(b))
	}
	_, bad = storeScale(y[2:4], float32(float32(sum)*d))
	return bad
}

func decodeQ8_1(dst []float32, src []byte) {
	for ; len(dst) >= len32; dst, src = dst[len32:], src[sizeQ8_1:] {
		y, x := (*[len32]float32)(dst), (*[sizeQ8_1]byte)(src)
		d := F16ToF32(load16(x[:2]))
		for i := range y {
			y[i] = float32(float32(int8(x[4+i])) * d)
		}
	}
}
