package block

import "math"

// scaleE4M3 are kernels for ScaleE4M3, nil where there are none: they do groups of 64 codes, and return how many of these stand
// before the first with a NaN.
var scaleE4M3 [forms]func(dst *float32, codes *byte, scale float32, groups int) (done int)

// ScaleE4M3 writes the values of len(dst) floats of one byte, as FP8 checkpoints have them (4 bits of exponent, 3 of mantissa, no
// infinities), times a scale. No GGUF type holds such values.
func ScaleE4M3(dst []float32, codes []byte, scale float32) {
	done := 0
	if kernel := scaleE4M3[using]; kernel != nil && len(dst) >= 64 {
		done = 64 * kernel(&dst[0], &codes[0], scale, len(dst)/64)
	}
	codes = codes[:len(dst)]
	for i := done; i < len(dst); i++ {
		dst[i] = float32(e4m3Values[codes[i]] * scale)
	}
}

var e4m3Values = func() (values [256]float32) {
	for c := range values {
		e, m := c>>3&15, float64(c&7)
		v := math.Ldexp(8+m, e-10)
		switch {
		case c&0x7f == 0x7f:
			v = math.NaN()
		case e == 0:
			v = math.Ldexp(m, -9)
		}
		values[c] = float32(math.Copysign(v, float64(int8(c))))
	}
	return values
}()
