package block

import "github.com/moeconv/moeconv/gguf"

// A Q4_K super-block: head (see superSearch), 128 bytes of nibbles.
const sizeQ4_K = headLen + 128

var searchQ4_K = superSearch{
	plain:    minSearch{n: 15, from: -1, delta: 0.1, steps: 20},
	weighted: minSearch{n: 15, from: -0.9, delta: 0.05, steps: 36},
	scaleCap: 255,
}

func init() {
	register(Codec{Type: gguf.Q4_K, Encode: encodeQ4_K, Decode: decodeQ4_K, Validate: validate16(gguf.Q4_K, 0, 2)})
}

func encodeQ4_K(dst []byte, src, importance []float32) error {
	return each256(gguf.Q4_K, dst, src, importance, blockQ4_K)
}

func blockQ4_K(y []byte, x, importance *[len256]float32) (bad float32) {
	var q [len256]uint8
	if bad := searchQ4_K.encode((*[headLen]byte)(y), &q, x, importance); bad != 0 {
		return bad
	}
	packNibbles((*[128]byte)(y[headLen:]), &q)
	return 0
}

// packNibbles puts each run of 32 quants in the low nibbles and the next run in the high ones; bits above are cut off.
func packNibbles(p *[128]byte, q *[len256]uint8) {
	for pair := range 4 {
		out, lo, hi := p[32*pair:32*pair+32], q[64*pair:64*pair+32], q[64*pair+32:64*pair+64]
		for i := range out {
			out[i] = lo[i]&15 | hi[i]<<4
		}
	}
}

func decodeQ4_K(dst []float32, src []byte) {
	for ; len(dst) >= len256; dst, src = dst[len256:], src[sizeQ4_K:] {
		scales, mins := decodeHead((*[headLen]byte)(src))
		for pair := range 4 {
			q, y := src[headLen+32*pair:headLen+32*pair+32], dst[64*pair:64*pair+64]
			d1, m1, d2, m2 := scales[2*pair], mins[2*pair], scales[2*pair+1], mins[2*pair+1]
			for i, b := range q {
				y[i] = float32(d1*float32(b&15)) - m1
				y[32+i] = float32(d2*float32(b>>4)) - m2
			}
		}
	}
}
