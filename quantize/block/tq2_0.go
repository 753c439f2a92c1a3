package block

import "github.com/moeconv/moeconv/gguf"

// A TQ2_0 super-block: 64 bytes of four quants of two bits, f16 scale d. Value = d*(q-1). Byte i of each half of the
// bytes holds the quants i, i+32, i+64, i+96 of that half.
const (
	scaleTQ2_0 = 64
	sizeTQ2_0  = scaleTQ2_0 + 2
)

func init() {
	register(Codec{Type: gguf.TQ2_0, Encode: encodeTQ2_0, Decode: decodeTQ2_0, Validate: validate16(gguf.TQ2_0, scaleTQ2_0)})
}

// encodeTQ2_0 scales the largest magnitude to 1. The reference ignores importance here.
func encodeTQ2_0(dst []byte, src, _ []float32) error {
	return eachBlock(gguf.TQ2_0, dst, src, blockTQ2_0)
}

func blockTQ2_0(y []byte, x []float32) (bad float32) {
	var q [len256]byte
	d := ternary(&q, x)
	for h := range 2 {
		p, q := y[32*h:32*h+32], q[128*h:128*h+128]
		for i := range p {
			p[i] = q[i] | q[i+32]<<2 | q[i+64]<<4 | q[i+96]<<6
		}
	}
	_, bad = storeScale(y[scaleTQ2_0:], d)
	return bad
}

func decodeTQ2_0(dst []float32, src []byte) {
	for ; len(dst) >= len256; dst, src = dst[len256:], src[sizeTQ2_0:] {
		d := F16ToF32(load16(src[scaleTQ2_0:]))
		for h := range 2 {
			for i, q := range src[32*h : 32*h+32] {
				for k := range 4 {
					dst[128*h+32*k+i] = float32(float32(int(q>>(2*k)&3)-1) * d)
				}
			}
		}
	}
}
