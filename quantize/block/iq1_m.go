package block

import (
	"fmt"
	"math"

	"github.com/moeconv/moeconv/gguf"
)

// An IQ1_M super-block: the low bytes of the positions of 32 points, for each a nibble of 3 upper bits and whether the values
// are shifted down, then 4 times 2 bytes of four scales of 3 bits, one a run of 16 weights, and 4 bits of the f16 scale d.
const (
	highIQ1_M   = 32
	scalesIQ1_M = highIQ1_M + 16
	sizeIQ1_M   = scalesIQ1_M + 8
)

// tinyIQ1_M is the magnitude below which a run counts as zeros.
const tinyIQ1_M = 1e-7

func init() {
	register(Codec{Type: gguf.IQ1_M, Encode: encodeIQ1_M, Decode: decodeIQ1_M, Validate: validateIQ1_M})
}

func encodeIQ1_M(dst []byte, src, importance []float32) error {
	return each256(gguf.IQ1_M, dst, src, importance, blockIQ1_M)
}

func blockIQ1_M(y []byte, x, importance *[len256]float32) (bad float32) {
	var (
		w      [len256]float32
		scales [16]float32
		shifts [16]int
		points [32]int
	)
	clear(y)
	if importance != nil {
		sigma2 := meanSquareTwice(x)
		if sigma2-sigma2 != 0 {
			return sigma2
		}
		weigh(w[:], x[:], importance[:], sigma2)
	} else {
		for i, v := range x {
			w[i] = float32(v * v)
		}
	}
	for i := range scales {
		xs, ws := (*[16]float32)(x[16*i:]), (*[16]float32)(w[16*i:])
		if extent(xs[:]) < tinyIQ1_M {
			continue
		}
		scales[i], shifts[i] = fitIQ1_M((*[2]int)(points[2*i:]), xs, ws)
		if !(scales[i] >= 0) {
			return scales[i]
		}
	}
	for k, p := range points {
		y[k] = uint8(p)
		y[highIQ1_M+k/2] |= uint8(p>>8) << (k % 2 * 4)
	}
	if greatest(scales[:]) == 0 {
		return 0
	}
	return scaleIQ1_M(y, x, &w, &scales, &shifts, &points)
}

// shiftsIQ1_M are the values of a run's two groups: bit 1 of a shift is set for the first group shifted down, bit 0 for the second.
var shiftsIQ1_M = [4][4]*[3]float32{{&upIQ1, &upIQ1}, {&upIQ1, &downIQ1}, {&downIQ1, &upIQ1}, {&downIQ1, &downIQ1}}

// scaleIQ1_M writes shifts and scales. d is what fits all weights best.
func scaleIQ1_M(y []byte, x, w *[len256]float32, scales *[16]float32, shifts *[16]int, points *[32]int) (bad float32) {
	var (
		l      [16]uint8
		packed [4]uint16
		qx, q2 float32
	)
	g, d := gridIQ1(), scalesIQ1(l[:], scales[:])
	for i, l := range l {
		packed[i/4] |= uint16(l) << (3 * (i % 4))
		y[highIQ1_M+i] |= uint8(shifts[i]>>1)<<3 | uint8(shifts[i]&1)<<7
		for k := range 2 {
			o := 16*i + 8*k
			qx, q2 = sumsIQ1(qx, q2, x[o:], w[o:], &g.digits[points[2*i+k]], shiftsIQ1_M[shifts[i]][k], float32(2*l+1))
		}
	}
	if q2 > 0 {
		d = qx / q2
	}
	d = float32(d * 1.1125)
	h := F32ToF16(d)
	if !finite16(h) {
		return d
	}
	for i, p := range packed {
		store16(y[scalesIQ1_M+2*i:], p|h>>(4*i)<<12)
	}
	return 0
}

// fitIQ1_M returns the scale of a run and the shifts of its groups, and its points. The scale is 0, and the points the first, if
// no weight is positive.
func fitIQ1_M(points *[2]int, x, w *[16]float32) (scale float32, shift int) {
	var order, digits [16]uint8
	sortIQ1(order[:], x[:])
	s := divideIQ1_M(x, w, &order)
	if s.from < 0 {
		return 0, 0
	}
	if s.digits(digits[:], order[:]) {
		s.shift = 3 - s.shift
	}
	return fitIQ1(points[:], x[:], w[:], digits[:], s.scale, shiftsIQ1_M[s.shift]), s.shift
}

// divideIQ1_M tries all divisions, each with four shifts. Sums are kept by group, since each may be shifted its own way.
func divideIQ1_M(x, w *[16]float32, order *[16]uint8) splitIQ1 {
	var sumx, sumw [2][17]float32
	for j, i := range order {
		h := i / 8
		sumx[h][j+1], sumx[1-h][j+1] = sumx[h][j]+float32(w[i]*x[i]), sumx[1-h][j]
		sumw[h][j+1], sumw[1-h][j+1] = sumw[h][j]+w[i], sumw[1-h][j]
	}
	s := splitIQ1{from: -1, best: -math.MaxFloat32}
	for i1 := range 17 {
		for i2 := i1; i2 < 17; i2++ {
			var qx, q2 [2][2]float32 // by group and shift
			for h := range 2 {
				sum := sumx[h][i1] + sumx[h][i2]
				for shift, q := range [2]*[3]float32{&upIQ1, &downIQ1} {
					// What a weight adds as the ends of its part move past it.
					low, high := float32(q[0]*q[0])-float32(q[1]*q[1]), float32(q[1]*q[1])-float32(q[2]*q[2])
					qx[h][shift] = float32(sumx[h][16]*q[2]) - sum
					q2[h][shift] = float32(float32(sumw[h][16]*q[2])*q[2]) + float32(sumw[h][i1]*low) + float32(sumw[h][i2]*high)
				}
			}
			for shift := range 4 {
				s.offer(i1, i2, shift, qx[0][shift>>1]+qx[1][shift&1], q2[0][shift>>1]+q2[1][shift&1])
			}
		}
	}
	return s
}

// dIQ1_M is the f16 scale of a super-block.
func dIQ1_M(y []byte) (h uint16) {
	for i := range 4 {
		h |= load16(y[scalesIQ1_M+2*i:]) >> 12 << (4 * i)
	}
	return h
}

func decodeIQ1_M(dst []float32, src []byte) {
	g := gridIQ1()
	for ; len(dst) >= len256; dst, src = dst[len256:], src[sizeIQ1_M:] {
		d := F16ToF32(dIQ1_M(src))
		for k := range 32 {
			run := k / 2
			l := load16(src[scalesIQ1_M+run/4*2:]) >> (run % 4 * 3) & 7
			h := src[highIQ1_M+run] >> (k % 2 * 4)
			decodeIQ1(dst[8*k:], &g.digits[int(src[k])|int(h&7)<<8], deltaOf(h&8 != 0), float32(d*float32(2*l+1)))
		}
	}
}

// validateIQ1_M finds scales d that are not finite.
func validateIQ1_M(src []byte) error {
	if len(src)%sizeIQ1_M != 0 {
		return fmt.Errorf("block: %v: %d bytes are not whole blocks of %d", gguf.IQ1_M, len(src), sizeIQ1_M)
	}
	for b := 0; b < len(src)/sizeIQ1_M; b++ {
		if h := dIQ1_M(src[b*sizeIQ1_M:]); !finite16(h) {
			return &ScaleError{Type: gguf.IQ1_M, Block: b, Value: F16ToF32(h)}
		}
	}
	return nil
}
