package block

import "github.com/moeconv/moeconv/gguf"

// A Q5_1 block: f16 scale d, f16 min m, 32 fifth bits, 32 nibbles. Value = d*q + m.
const sizeQ5_1 = 4 + 4 + 16

var searchQ5_1 = search32(31)

func init() {
	register(Codec{Type: gguf.Q5_1, Encode: encodeQ5_1, Decode: decodeQ5_1, Validate: validate16(gguf.Q5_1, 0, 2)})
}

func encodeQ5_1(dst []byte, src, importance []float32) error {
	if importance != nil {
		return each32Weighted(gguf.Q5_1, dst, src, importance, weightedQ5_1)
	}
	return each32(gguf.Q5_1, dst, src, blockQ5_1)
}

func blockQ5_1(y []byte, x *[len32]float32) (bad float32) {
	var q [len32]uint8
	lo, hi := bounds(x)
	d := (hi - lo) / 31
	roundFrom(&q, x, lo, d, 31)
	pack32High(y[4:], &q)
	return storeScales(y, d, lo)
}

func weightedQ5_1(y []byte, x, w *[len32]float32) (bad float32) {
	var q [len32]uint8
	f := searchQ5_1.fit(x[:], w[:])
	f.quants(q[:], x[:], 31)
	pack32High(y[4:], &q)
	return storeScales(y, f.scale, -f.min)
}

func decodeQ5_1(dst []float32, src []byte) {
	for ; len(dst) >= len32; dst, src = dst[len32:], src[sizeQ5_1:] {
		y, x := (*[len32]float32)(dst), (*[sizeQ5_1]byte)(src)
		d, m, high := F16ToF32(load16(x[:2])), F16ToF32(load16(x[2:4])), load32(x[4:8])
		for i, b := range x[8:] {
			y[i] = float32(float32(uint32(b&15)|high>>i&1<<4)*d) + m
			y[i+16] = float32(float32(uint32(b>>4)|high>>(i+16)&1<<4)*d) + m
		}
	}
}
