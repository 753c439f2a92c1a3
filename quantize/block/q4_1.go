package block

import "github.com/moeconv/moeconv/gguf"

// A Q4_1 block: f16 scale d, f16 min m, 32 nibbles. Value = d*q + m.
const sizeQ4_1 = 4 + 16

// search32 is the search of the _1 types under importance.
func search32(n float32) minSearch { return minSearch{n: n, from: -0.9, delta: 0.05, steps: 36} }

var searchQ4_1 = search32(15)

func init() {
	register(Codec{Type: gguf.Q4_1, Encode: encodeQ4_1, Decode: decodeQ4_1, Validate: validate16(gguf.Q4_1, 0, 2)})
}

func encodeQ4_1(dst []byte, src, importance []float32) error {
	if importance != nil {
		return each32Weighted(gguf.Q4_1, dst, src, importance, weightedQ4_1)
	}
	return each32(gguf.Q4_1, dst, src, blockQ4_1)
}

func blockQ4_1(y []byte, x *[len32]float32) (bad float32) {
	var q [len32]uint8
	lo, hi := bounds(x)
	d := (hi - lo) / 15
	roundFrom(&q, x, lo, d, 15)
	pack32(y[4:], &q)
	return storeScales(y, d, lo)
}

func weightedQ4_1(y []byte, x, w *[len32]float32) (bad float32) {
	var q [len32]uint8
	f := searchQ4_1.fit(x[:], w[:])
	f.quants(q[:], x[:], 15)
	pack32(y[4:], &q)
	return storeScales(y, f.scale, -f.min)
}

// roundFrom writes (x-lo)/d rounded half up, at most top. Where d is not finite the quants do not matter.
func roundFrom(q *[len32]uint8, x *[len32]float32, lo, d float32, top int32) {
	id, ok := reciprocal(d)
	if !ok || d-d != 0 {
		clear(q[:])
		return
	}
	for i, v := range x {
		q[i] = uint8(min(top, int32(float32((v-lo)*id)+0.5)))
	}
}

// storeScales stores scale and min of a block and returns the first that is not finite in f16.
func storeScales(y []byte, d, m float32) (bad float32) {
	if _, bad := storeScale(y[:2], d); bad != 0 {
		return bad
	}
	_, bad = storeScale(y[2:4], m)
	return bad
}

func decodeQ4_1(dst []float32, src []byte) {
	for ; len(dst) >= len32; dst, src = dst[len32:], src[sizeQ4_1:] {
		y, x := (*[len32]float32)(dst), (*[sizeQ4_1]byte)(src)
		d, m := F16ToF32(load16(x[:2])), F16ToF32(load16(x[2:4]))
		for i, b := range x[4:] {
			y[i] = float32(float32(b&15)*d) + m
			y[i+16] = float32(float32(b>>4)*d) + m
		}
	}
}
