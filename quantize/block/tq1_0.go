package block

import "github.com/moeconv/moeconv/gguf"

// A TQ1_0 super-block: 48 bytes of five trits each, 4 bytes of four, f16 scale d. Value = d*(trit-1). A byte holds the
// fraction of its trits, the first one foremost, in 256ths rounded up: the upper part of 3*byte is the first trit.
const (
	highTQ1_0  = 48 // where the bytes of four trits start
	scaleTQ1_0 = 52
	sizeTQ1_0  = scaleTQ1_0 + 2
)

func init() {
	register(Codec{Type: gguf.TQ1_0, Encode: encodeTQ1_0, Decode: decodeTQ1_0, Validate: validate16(gguf.TQ1_0, scaleTQ1_0)})
}

// encodeTQ1_0 scales the largest magnitude to 1. The reference ignores importance here.
func encodeTQ1_0(dst []byte, src, _ []float32) error {
	return eachBlock(gguf.TQ1_0, dst, src, blockTQ1_0)
}

func blockTQ1_0(y []byte, x []float32) (bad float32) {
	var trits [len256]byte
	d := ternary(&trits, x)
	packTrits(y[:32], trits[:160], 5)
	packTrits(y[32:highTQ1_0], trits[160:240], 5)
	packTrits(y[highTQ1_0:scaleTQ1_0], trits[240:], 4)
	_, bad = storeScale(y[scaleTQ1_0:], d)
	return bad
}

// ternary rounds a super-block to -1, 0 and 1 times its largest magnitude, which it returns; the trits are one more. Where
// the reciprocal of the magnitude overflows, the reference's conversion of infinities leaves zeros.
func ternary(trits *[len256]byte, x []float32) (d float32) {
	d = maxAbs(x)
	id, ok := reciprocal(d)
	for i, v := range x[:len256] {
		if trits[i] = 1; ok {
			trits[i] = byte(roundSmall(float32(v*id)) + 1)
		}
	}
	return d
}

// packTrits puts n trits in each byte: those of byte i are i, i+len(p), ...
func packTrits(p, trits []byte, n int) {
	for i := range p {
		sum := 0
		for k := range 5 {
			if sum *= 3; k < n {
				sum += int(trits[i+k*len(p)])
			}
		}
		p[i] = byte((sum*256 + 242) / 243)
	}
}

func decodeTQ1_0(dst []float32, src []byte) {
	for ; len(dst) >= len256; dst, src = dst[len256:], src[sizeTQ1_0:] {
		d := F16ToF32(load16(src[scaleTQ1_0:]))
		unpackTrits(dst[:160], src[:32], d)
		unpackTrits(dst[160:240], src[32:highTQ1_0], d)
		unpackTrits(dst[240:len256], src[highTQ1_0:scaleTQ1_0], d)
	}
}

// unpackTrits writes the values of trits packed as packTrits does.
func unpackTrits(dst []float32, p []byte, d float32) {
	for i, q := range p {
		for k := i; k < len(dst); k += len(p) {
			dst[k] = float32(float32(int(q)*3>>8-1) * d)
			q *= 3
		}
	}
}
