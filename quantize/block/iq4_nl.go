package block

import "github.com/moeconv/moeconv/gguf"

// An IQ4_NL block: d (f16), 32 nibbles of which byte j holds values j and j+16. Value = d * valuesIQ4[q].
const sizeIQ4_NL = 2 + len32/2

func init() {
	register(Codec{Type: gguf.IQ4_NL, Encode: encodeIQ4_NL, Decode: decodeIQ4_NL, Validate: validate16(gguf.IQ4_NL, 0)})
}

func encodeIQ4_NL(dst []byte, src, importance []float32) error {
	var weights [len32]float32
	return each32(gguf.IQ4_NL, dst, src, func(y []byte, x *[len32]float32) float32 {
		if importance == nil {
			squares(&weights, x)
		} else {
			sigma2 := float32(sumSquares(x[:]) * (2.0 / len32))
			if sigma2-sigma2 != 0 {
				return sigma2
			}
			weigh(weights[:], x[:], importance, sigma2)
			importance = importance[len32:]
		}
		return blockIQ4_NL(y, x, &weights)
	})
}

func blockIQ4_NL(y []byte, x, w *[len32]float32) (bad float32) {
	scale := fitIQ4(x, w)
	if scale-scale != 0 {
		return scale
	}
	if _, bad := storeScale(y, scale); bad != 0 {
		return bad
	}
	packIQ4(y[2:sizeIQ4_NL], x, inverseOrZero(scale))
	return 0
}

func decodeIQ4_NL(dst []float32, src []byte) {
	for ; len(dst) >= len32; dst, src = dst[len32:], src[sizeIQ4_NL:] {
		unpackIQ4((*[len32]float32)(dst), src[2:sizeIQ4_NL], F16ToF32(load16(src)))
	}
}
