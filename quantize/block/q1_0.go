package block

import "github.com/moeconv/moeconv/gguf"

// A Q1_0 block: f16 scale d, 128 bits. Value = d where the bit is set, else -d.
const (
	lenQ1_0  = 128
	sizeQ1_0 = 2 + lenQ1_0/8
)

func init() {
	register(Codec{Type: gguf.Q1_0, Encode: encodeQ1_0, Decode: decodeQ1_0, Validate: validate16(gguf.Q1_0, 0)})
}

// encodeQ1_0 keeps the signs and the mean magnitude. The reference ignores importance here.
func encodeQ1_0(dst []byte, src, _ []float32) error {
	return eachBlock(gguf.Q1_0, dst, src, blockQ1_0)
}

func blockQ1_0(y []byte, x []float32) (bad float32) {
	var sum float32
	for _, v := range x {
		sum += abs32(v)
	}
	for i := range lenQ1_0 / 8 {
		var bits byte
		for j, v := range x[8*i : 8*i+8] {
			if v >= 0 { // zeros of either sign
				bits |= 1 << j
			}
		}
		y[2+i] = bits
	}
	_, bad = storeScale(y[:2], sum/lenQ1_0)
	return bad
}

func decodeQ1_0(dst []float32, src []byte) {
	for ; len(dst) >= lenQ1_0; dst, src = dst[lenQ1_0:], src[sizeQ1_0:] {
		d := F16ToF32(load16(src[:2]))
		for i, bits := range src[2:sizeQ1_0] {
			for j := range 8 {
				if dst[8*i+j] = -d; bits>>j&1 != 0 {
					dst[8*i+j] = d
				}
			}
		}
	}
}
