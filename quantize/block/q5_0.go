package block

import "github.com/moeconv/moeconv/gguf"

// A Q5_0 block: f16 scale d, 32 fifth bits, 32 nibbles. Value = d*(q-16).
const sizeQ5_0 = 2 + 4 + 16

func init() {
	register(Codec{Type: gguf.Q5_0, Encode: encodeQ5_0, Decode: decodeQ5_0, Validate: validate16(gguf.Q5_0, 0)})
}

func encodeQ5_0(dst []byte, src, importance []float32) error {
	if importance != nil {
		return each32Weighted(gguf.Q5_0, dst, src, importance, weightedQ5_0)
	}
	return each32(gguf.Q5_0, dst, src, blockQ5_0)
}

func blockQ5_0(y []byte, x *[len32]float32) (bad float32) {
	var q [len32]uint8
	d := extreme(x) / -16
	roundOffset(&q, x, d, 16.5, 31)
	pack32High(y[2:], &q)
	_, bad = storeScale(y[:2], d)
	return bad
}

func weightedQ5_0(y []byte, x, w *[len32]float32) (bad float32) {
	var q [len32]uint8
	f := fitSigned(x[:], w[:], 16)
	f.quants(q[:], x[:], 16)
	pack32High(y[2:], &q)
	_, bad = storeScale(y[:2], f.scale)
	return bad
}

func decodeQ5_0(dst []float32, src []byte) {
	for ; len(dst) >= len32; dst, src = dst[len32:], src[sizeQ5_0:] {
		y, x := (*[len32]float32)(dst), (*[sizeQ5_0]byte)(src)
		d, high := F16ToF32(load16(x[:2])), load32(x[2:6])
		for i, b := range x[6:] {
			y[i] = float32(float32(int32(uint32(b&15)|high>>i&1<<4)-16) * d)
			y[i+16] = float32(float32(int32(uint32(b>>4)|high>>(i+16)&1<<4)-16) * d)
		}
	}
}
