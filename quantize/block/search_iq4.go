package block

import "math"

// valuesIQ4 are the values of the IQ4 types' quants.
var valuesIQ4 = [16]float32{-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113}

// middlesIQ4 are halfway between a value and the next one. A float is rounded up from there: both differences, which the
// reference compares, are exact near it, and apart by more than their rounding elsewhere.
var middlesIQ4 = [16]float32{-115.5, -93.5, -74, -57, -42, -28.5, -16, -4.5, 7, 19, 31.5, 45.5, 61, 79, 101, math.MaxFloat32}

// nearestIQ4 is the quant of the value nearest to x, the last one for NaN as in the reference. A line through the values
// is at most one too low.
func nearestIQ4(x float32) int {
	if x <= -127 {
		return 0
	}
	if !(x < 113) {
		return 15
	}
	q := int(float32(x*(1/14.5)) + (8 - 1.75/14.5))
	if x >= middlesIQ4[q&15] {
		q++
	}
	return q & 15
}

// fitIQ4 tries 15 scales around the one that maps the largest magnitude to -127, after one of the opposite sign, and
// returns the one with the least weighted error; NaN where sums overflow.
func fitIQ4(x, w *[len32]float32) float32 {
	const steps = 7
	top := extreme(x)
	if abs32(top) < tinyGroup {
		return 0
	}
	var scale float32
	sumqx, sumq2 := sumsIQ4(x, w, 1/(top/127))
	if sumq2 > 0 {
		scale = sumqx / sumq2
	}
	best := float32(scale * sumqx)
	for k := -steps; k <= steps; k++ {
		sumqx, sumq2 := sumsIQ4(x, w, float32(k-127)/top)
		if sumq2 > 0 && float32(sumqx*sumqx) > float32(best*sumq2) {
			scale = sumqx / sumq2
			best = float32(scale * sumqx)
		}
	}
	return scale
}

// sumsIQ4 are those of w*q*x and w*q*q for q the value nearest to x*inverse.
func sumsIQ4(x, w *[len32]float32, inverse float32) (sumqx, sumq2 float32) {
	for i, v := range x {
		q := valuesIQ4[nearestIQ4(float32(inverse*v))]
		wq := float32(w[i] * q)
		sumqx += float32(wq * v)
		sumq2 += float32(wq * q)
	}
	return sumqx, sumq2
}

// squares sets the weights of errors where there is no importance.
func squares(w, x *[len32]float32) {
	for i, v := range x {
		w[i] = float32(v * v)
	}
}

// inverseOrZero is 1/d, 0 for 0. It may overflow: the values are then multiplied by an infinity.
func inverseOrZero(d float32) float32 {
	if d == 0 {
		return 0
	}
	return 1 / d
}

// packIQ4 writes the nibbles of a group of 32 weights.
func packIQ4(p []byte, x *[len32]float32, inverse float32) {
	p = p[:16]
	for i := range p {
		p[i] = byte(nearestIQ4(float32(inverse*x[i])) | nearestIQ4(float32(inverse*x[i+16]))<<4)
	}
}

func unpackIQ4(y *[len32]float32, p []byte, scale float32) {
	for i, b := range p[:16] {
		y[i] = float32(scale * valuesIQ4[b&15])
		y[i+16] = float32(scale * valuesIQ4[b>>4])
	}
}
