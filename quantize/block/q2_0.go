package block

import "github.com/moeconv/moeconv/gguf"

// A Q2_0 block: f16 scale d, 64 quants of two bits, the first in the lowest bits. Value = d*(q-1).
const (
	lenQ2_0  = 64
	sizeQ2_0 = 2 + lenQ2_0/4
)

func init() {
	register(Codec{Type: gguf.Q2_0, Encode: encodeQ2_0, Decode: decodeQ2_0, Validate: validate16(gguf.Q2_0, 0)})
}

// encodeQ2_0 scales the largest magnitude to 1, so that it never uses the quant of 2. The reference ignores importance here.
func encodeQ2_0(dst []byte, src, _ []float32) error {
	return eachBlock(gguf.Q2_0, dst, src, blockQ2_0)
}

func blockQ2_0(y []byte, x []float32) (bad float32) {
	d := maxAbs(x)
	clear(y[2:sizeQ2_0])
	if id, ok := reciprocal(d); ok {
		for i, v := range x {
			y[2+i/4] |= byte(roundSmall(float32(v*id))+1) << (i % 4 * 2)
		}
	}
	_, bad = storeScale(y[:2], d)
	return bad
}

func decodeQ2_0(dst []float32, src []byte) {
	for ; len(dst) >= lenQ2_0; dst, src = dst[lenQ2_0:], src[sizeQ2_0:] {
		d := F16ToF32(load16(src[:2]))
		for i := range lenQ2_0 {
			dst[i] = float32(float32(int(src[2+i/4]>>(i%4*2)&3)-1) * d)
		}
	}
}
