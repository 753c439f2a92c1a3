package block

import (
	"fmt"
	"math"

	"github.com/moeconv/moeconv/gguf"
)

// An MXFP4 block: an 8-bit exponent e, 32 nibbles of which byte j holds values j and j+16. Value = 2^(e-128) * mxfp4Values[q].
const sizeMXFP4 = 1 + len32/2

func init() {
	register(Codec{Type: gguf.MXFP4, Encode: encodeMXFP4, Decode: decodeMXFP4, Validate: validateMXFP4})
}

// mxfp4Values are twice the values of E2M1, so that they are integers.
var mxfp4Values = [16]float32{0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12}

// mxfp4Scale is 2^(e-128), half of what the exponent says: see mxfp4Values.
func mxfp4Scale(e byte) float32 {
	if e < 2 {
		return math.Float32frombits(0x00200000 << e) // subnormal
	}
	return math.Float32frombits(uint32(e-1) << 23)
}

// encodeMXFP4 takes the exponent of the largest magnitude and the nearest value below it. The reference ignores importance here.
func encodeMXFP4(dst []byte, src, _ []float32) error {
	return each32(gguf.MXFP4, dst, src, blockMXFP4)
}

func blockMXFP4(y []byte, x *[len32]float32) (bad float32) {
	m := maxAbs(x[:])
	e := mxfp4Exponent(m)
	if e == 0xff { // what the reference makes of it, it refuses afterwards
		return m
	}
	d := mxfp4Scale(e)
	y[0] = e
	for j := range len32 / 2 {
		y[1+j] = nearestMXFP4(x[j], d) | nearestMXFP4(x[j+len32/2], d)<<4
	}
	return 0
}

// mxfp4Exponent is floor(log2(m))+125, of a logarithm that is rounded to float32 before: just below a power of two it is
// that power's. What lies beyond a byte wraps, as the reference's conversion does on x86.
func mxfp4Exponent(m float32) byte {
	if m == 0 {
		return 0
	}
	return byte(int32(math.Floor(float64(float32(math.Log2(float64(m))))) - 2 + 127))
}

// nearestMXFP4 is the first value with the least error. None of the other sign is nearer than 0, which comes first.
func nearestMXFP4(x, d float32) byte {
	a := abs32(x)
	best, err := byte(0), a
	for i, v := range mxfp4Values[1:8] {
		if e := abs32(float32(v*d) - a); e < err {
			best, err = byte(i+1), e
		}
	}
	if best > 0 && x < 0 {
		best += 8
	}
	return best
}

func decodeMXFP4(dst []float32, src []byte) {
	for ; len(dst) >= len32; dst, src = dst[len32:], src[sizeMXFP4:] {
		d := mxfp4Scale(src[0])
		for j, q := range src[1:sizeMXFP4] {
			dst[j] = float32(mxfp4Values[q&15] * d)
			dst[j+len32/2] = float32(mxfp4Values[q>>4] * d)
		}
	}
}

// validateMXFP4 finds exponents that stand for NaN.
func validateMXFP4(src []byte) error {
	if len(src)%sizeMXFP4 != 0 {
		return fmt.Errorf("block: %v: %d bytes are not whole blocks of %d", gguf.MXFP4, len(src), sizeMXFP4)
	}
	for b := 0; b < len(src)/sizeMXFP4; b++ {
		if src[b*sizeMXFP4] == 0xff {
			return &ScaleError{Type: gguf.MXFP4, Block: b, Value: float32(math.NaN())}
		}
	}
	return nil
}
