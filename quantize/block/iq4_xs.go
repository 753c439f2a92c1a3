package block

import "github.com/moeconv/moeconv/gguf"

// An IQ4_XS super-block: d (f16), then for 8 groups of 32 weights scales of 6 bits, offset by 32: the high two of each in
// 16 bits, the low four in 4 bytes; then the nibbles of the groups, each as in IQ4_NL. Value = d*(scale-32) * valuesIQ4[q].
const sizeIQ4_XS = 2 + 2 + 4 + 128

func init() {
	register(Codec{Type: gguf.IQ4_XS, Encode: encodeIQ4_XS, Decode: decodeIQ4_XS, Validate: validate16(gguf.IQ4_XS, 0)})
}

func encodeIQ4_XS(dst []byte, src, importance []float32) error {
	return each256(gguf.IQ4_XS, dst, src, importance, blockIQ4_XS)
}

func blockIQ4_XS(y []byte, x, importance *[len256]float32) (bad float32) {
	var (
		scales  [8]float32
		weights [len32]float32
		sigma2  float32
	)
	if importance != nil {
		if sigma2 = meanSquareTwice(x); sigma2-sigma2 != 0 {
			return sigma2
		}
	}
	for g := range scales {
		xs := (*[len32]float32)(x[32*g:])
		if importance != nil {
			weigh(weights[:], xs[:], importance[32*g:32*g+32], sigma2)
		} else {
			squares(&weights, xs)
		}
		s := fitIQ4(xs, &weights)
		if s-s != 0 {
			return s
		}
		scales[g] = s
	}
	inverses, bad := roundIQ4_XS(y, &scales)
	if bad != 0 {
		return bad
	}
	for g, inverse := range inverses {
		packIQ4(y[8+16*g:24+16*g], (*[len32]float32)(x[32*g:]), inverse)
	}
	return 0
}

// roundIQ4_XS writes the scales of a super-block and returns the inverses of what they were rounded to.
func roundIQ4_XS(y []byte, scales *[8]float32) (inverses [8]float32, bad float32) {
	var top float32 // the first of largest magnitude
	for _, s := range scales {
		if abs32(s) > abs32(top) {
			top = s
		}
	}
	d := -top / 32
	if _, bad := storeScale(y, d); bad != 0 {
		return inverses, bad
	}
	inverse := inverseOrZero(d)
	var low uint32
	var high uint16
	for g, s := range scales {
		l := max(-32, min(31, nearestInt(float32(inverse*s))))
		inverses[g] = inverseOrZero(float32(d * float32(l)))
		low |= uint32(l+32) & 15 << (4 * g)
		high |= uint16(l+32) >> 4 << (2 * g)
	}
	store16(y[2:], high)
	store32(y[4:], low)
	return inverses, 0
}

func decodeIQ4_XS(dst []float32, src []byte) {
	for ; len(dst) >= len256; dst, src = dst[len256:], src[sizeIQ4_XS:] {
		for g, scale := range scalesIQ4_XS(src) {
			unpackIQ4((*[len32]float32)(dst[32*g:]), src[8+16*g:24+16*g], scale)
		}
	}
}

// scalesIQ4_XS are those of the groups of a super-block.
func scalesIQ4_XS(y []byte) (scales [8]float32) {
	d, high, low := F16ToF32(load16(y)), load16(y[2:]), load32(y[4:])
	for g := range scales {
		l := int32(low>>(4*g)&15) | int32(high>>(2*g)&3)<<4
		scales[g] = float32(d * float32(l-32))
	}
	return scales
}
