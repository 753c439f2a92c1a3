package block

import "github.com/moeconv/moeconv/gguf"

// A Q4_0 block: f16 scale d, 32 nibbles. Value = d*(q-8).
const sizeQ4_0 = 2 + 16

func init() {
	register(Codec{Type: gguf.Q4_0, Encode: encodeQ4_0, Decode: decodeQ4_0, Validate: validate16(gguf.Q4_0, 0)})
}

func encodeQ4_0(dst []byte, src, importance []float32) error {
	if importance != nil {
		return each32Weighted(gguf.Q4_0, dst, src, importance, weightedQ4_0)
	}
	return each32(gguf.Q4_0, dst, src, blockQ4_0)
}

func blockQ4_0(y []byte, x *[len32]float32) (bad float32) {
	var q [len32]uint8
	d := extreme(x) / -8
	roundOffset(&q, x, d, 8.5, 15)
	pack32(y[2:], &q)
	_, bad = storeScale(y[:2], d)
	return bad
}

func weightedQ4_0(y []byte, x, w *[len32]float32) (bad float32) {
	var q [len32]uint8
	f := fitSigned(x[:], w[:], 8)
	f.quants(q[:], x[:], 8)
	pack32(y[2:], &q)
	_, bad = storeScale(y[:2], f.scale)
	return bad
}

// roundOffset writes x/d + offset without its fraction, at most top. offset is half more than the quant of zero.
func roundOffset(q *[len32]uint8, x *[len32]float32, d, offset float32, top int32) {
	id, ok := reciprocal(d)
	if !ok {
		clear(q[:])
		return
	}
	for i, v := range x {
		q[i] = uint8(min(top, int32(float32(v*id)+offset)))
	}
}

func decodeQ4_0(dst []float32, src []byte) {
	for ; len(dst) >= len32; dst, src = dst[len32:], src[sizeQ4_0:] {
		y, x := (*[len32]float32)(dst), (*[sizeQ4_0]byte)(src)
		d := F16ToF32(load16(x[:2]))
		for i, b := range x[2:] {
			y[i] = float32(float32(int(b&15)-8) * d)
			y[i+16] = float32(float32(int(b>>4)-8) * d)
		}
	}
}
