package block

import (
	"math"

	"github.com/moeconv/moeconv/gguf"
)

// An IQ1_S super-block: f16 scale d, the low bytes of the positions of 32 points, and for each run of 32 weights 2 bytes: 4
// times 3 upper bits of positions, 3 bits of scale, and whether the values are shifted down.
const (
	highIQ1_S = 2 + 32
	sizeIQ1_S = highIQ1_S + 2*8
)

// tinyIQ1_S is the magnitude below which a run counts as zeros.
const tinyIQ1_S = 1e-12

func init() {
	register(Codec{Type: gguf.IQ1_S, Encode: encodeIQ1_S, Decode: decodeIQ1_S, Validate: validate16(gguf.IQ1_S, 0), NeedsImportance: true})
}

func encodeIQ1_S(dst []byte, src, importance []float32) error {
	return each256(gguf.IQ1_S, dst, src, importance, blockIQ1_S)
}

func blockIQ1_S(y []byte, x, importance *[len256]float32) (bad float32) {
	var (
		w      [32]float32
		scales [8]float32
		l      [8]uint8
		down   [8]bool
		points [4]int
	)
	clear(y)
	sigma2 := meanSquareTwice(x)
	if sigma2-sigma2 != 0 {
		return sigma2
	}
	for i := range scales {
		xs := (*[32]float32)(x[32*i:])
		weigh(w[:], xs[:], importance[32*i:32*i+32], sigma2)
		if extent(xs[:]) < tinyIQ1_S {
			continue
		}
		scales[i], down[i] = fitIQ1_S(&points, xs, &w)
		if !(scales[i] >= 0) {
			return scales[i]
		}
		var h uint16
		for k, p := range points {
			y[2+4*i+k] = uint8(p)
			h |= uint16(p>>8) << (3 * k)
		}
		store16(y[highIQ1_S+2*i:], h)
	}
	if greatest(scales[:]) == 0 {
		return 0
	}
	d := scalesIQ1(l[:], scales[:])
	for i, l := range l {
		if down[i] {
			l |= 8
		}
		y[highIQ1_S+2*i+1] |= l << 4
	}
	_, bad = storeScale(y, float32(d*1.125))
	return bad
}

// fitIQ1_S returns the scale of a run and whether its values are shifted down, and its points. The scale is 0, and the points
// the first, if no weight is positive.
func fitIQ1_S(points *[4]int, x, w *[32]float32) (scale float32, down bool) {
	var order, digits [32]uint8
	sortIQ1(order[:], x[:])
	s := divideIQ1_S(x, w, &order)
	if s.from < 0 {
		*points = [4]int{}
		return 0, false
	}
	if s.digits(digits[:], order[:]) {
		s.shift = 1 - s.shift
	}
	values := &upIQ1
	if s.shift == 1 {
		values = &downIQ1
	}
	return fitIQ1(points[:], x[:], w[:], digits[:], s.scale, [4]*[3]float32{values, values, values, values}), s.shift == 1
}

// divideIQ1_S tries all divisions, each with values shifted up (0) and down (1).
func divideIQ1_S(x, w *[32]float32, order *[32]uint8) splitIQ1 {
	var sumx, sumw [33]float32
	for j, i := range order {
		sumx[j+1] = sumx[j] + float32(w[i]*x[i])
		sumw[j+1] = sumw[j] + w[i]
	}
	s := splitIQ1{from: -1, best: -math.MaxFloat32}
	for i1 := range 33 {
		for i2 := i1; i2 < 33; i2++ {
			for shift, q := range [2]*[3]float32{&upIQ1, &downIQ1} {
				qx := float32((sumx[i1]-sumx[0])*q[0]) + float32((sumx[i2]-sumx[i1])*q[1]) + float32((sumx[32]-sumx[i2])*q[2])
				q2 := float32(float32((sumw[i1]-sumw[0])*q[0])*q[0]) + float32(float32((sumw[i2]-sumw[i1])*q[1])*q[1]) +
					float32(float32((sumw[32]-sumw[i2])*q[2])*q[2])
				s.offer(i1, i2, shift, qx, q2)
			}
		}
	}
	return s
}

// extent is the largest magnitude.
func extent(x []float32) (top float32) {
	for _, v := range x {
		top = max(top, abs32(v))
	}
	return top
}

func decodeIQ1_S(dst []float32, src []byte) {
	g := gridIQ1()
	for ; len(dst) >= len256; dst, src = dst[len256:], src[sizeIQ1_S:] {
		d := F16ToF32(load16(src))
		for i := range 8 {
			h := load16(src[highIQ1_S+2*i:])
			scale, delta := float32(d*float32(2*(h>>12&7)+1)), deltaOf(h>>15 != 0)
			for k := range 4 {
				p := int(src[2+4*i+k]) | int(h>>(3*k)&7)<<8
				decodeIQ1(dst[32*i+8*k:], &g.digits[p], delta, scale)
			}
		}
	}
}
