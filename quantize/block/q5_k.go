package block

import "github.com/moeconv/moeconv/gguf"

// A Q5_K super-block: head (see superSearch), 32 bytes of fifth bits, 128 bytes of nibbles.
const (
	sizeQ5_K = headLen + 32 + 128
	lowQ5_K  = headLen + 32
)

var searchQ5_K = superSearch{
	plain:    minSearch{n: 31, from: -0.5, delta: 0.1, steps: 15},
	weighted: minSearch{n: 31, from: -0.9, delta: 0.05, steps: 36},
	scaleCap: 63,
}

func init() {
	register(Codec{Type: gguf.Q5_K, Encode: encodeQ5_K, Decode: decodeQ5_K, Validate: validate16(gguf.Q5_K, 0, 2)})
}

func encodeQ5_K(dst []byte, src, importance []float32) error {
	return each256(gguf.Q5_K, dst, src, importance, blockQ5_K)
}

func blockQ5_K(y []byte, x, importance *[len256]float32) (bad float32) {
	var q [len256]uint8
	if bad := searchQ5_K.encode((*[headLen]byte)(y), &q, x, importance); bad != 0 {
		return bad
	}
	high := y[headLen:lowQ5_K]
	for i := range high {
		var h uint8
		for run := range 8 { // bit r of byte i belongs to element i of run r
			h |= q[32*run+i] >> 4 << run
		}
		high[i] = h
	}
	packNibbles((*[128]byte)(y[lowQ5_K:]), &q)
	return 0
}

func decodeQ5_K(dst []float32, src []byte) {
	for ; len(dst) >= len256; dst, src = dst[len256:], src[sizeQ5_K:] {
		scales, mins := decodeHead((*[headLen]byte)(src))
		high := src[headLen:lowQ5_K]
		for pair := range 4 {
			q, y := src[lowQ5_K+32*pair:lowQ5_K+32*pair+32], dst[64*pair:64*pair+64]
			d1, m1, d2, m2 := scales[2*pair], mins[2*pair], scales[2*pair+1], mins[2*pair+1]
			for i, b := range q {
				h := high[i] >> (2 * pair)
				y[i] = float32(d1*float32(b&15|h&1<<4)) - m1
				y[32+i] = float32(d2*float32(b>>4|h>>1&1<<4)) - m2
			}
		}
	}
}
