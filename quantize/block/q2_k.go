package block

import "github.com/moeconv/moeconv/gguf"

// A Q2_K super-block: a byte for each of 16 groups of 16 with scale (low nibble) and min, 64 bytes
// of bit pairs, f16 scale d of the scales, f16 scale dmin of the mins. Value = d*scale*q - dmin*min.
const (
	sizeQ2_K = 16 + 64 + 2 + 2
	dQ2_K    = 16 + 64
)

var (
	plainQ2_K    = minSearch{n: 3, from: -0.5, delta: 0.1, steps: 15, abs: true}
	weightedQ2_K = minSearch{n: 3, from: -0.9, delta: 0.05, steps: 36}
)

func init() {
	register(Codec{Type: gguf.Q2_K, Encode: encodeQ2_K, Decode: decodeQ2_K, Validate: validate16(gguf.Q2_K, dQ2_K, dQ2_K+2)})
}

func encodeQ2_K(dst []byte, src, importance []float32) error {
	return each256(gguf.Q2_K, dst, src, importance, blockQ2_K)
}

func blockQ2_K(y []byte, x, importance *[len256]float32) (bad float32) {
	var (
		fits                        [16]minFit
		scales, mins, sums, weights [16]float32
		ls, lm                      [16]uint8
		d, dmin, sigma2             float32
		q                           [len256]uint8
	)
	if importance != nil {
		if sigma2 = meanSquare(x[:], len256); sigma2-sigma2 != 0 {
			return sigma2
		}
	}
	for g := range fits {
		xs := x[16*g : 16*g+16]
		if importance == nil {
			for i, v := range xs {
				weights[i] = abs32(v)
			}
			fits[g] = plainQ2_K.fit(xs, weights[:])
		} else {
			sums[g] = weigh(weights[:], xs, importance[16*g:16*g+16], sigma2)
			fits[g] = weightedQ2_K.fit(xs, weights[:])
		}
		scales[g], mins[g] = fits[g].scale, fits[g].min
	}
	if bad := firstBad(scales[:]); bad != 0 {
		return bad
	}
	if importance == nil {
		d, dmin = roundScales15(&ls, &scales), roundScales15(&lm, &mins)
	} else {
		d, dmin = fitScales(ls[:], scales[:], sums[:], 15), fitScales(lm[:], mins[:], sums[:], 15)
	}
	if d, bad = storeScale(y[dQ2_K:], d); bad != 0 {
		return bad
	}
	if dmin, bad = storeScale(y[dQ2_K+2:], dmin); bad != 0 {
		return bad
	}
	for g := range fits {
		b := ls[g] | lm[g]<<4
		y[g] = b
		qs, xs := q[16*g:16*g+16], x[16*g:16*g+16]
		if dg := float32(d * float32(b&15)); dg != 0 {
			requantMin(qs, xs, dg, float32(dmin*float32(b>>4)), 3)
		} else {
			fits[g].quants(qs, xs, 3)
		}
	}
	packPairs((*[64]byte)(y[16:]), &q)
	return 0
}

// roundScales15 rounds scales to 4 bits and returns the common scale, that of the largest over 15.
func roundScales15(l *[16]uint8, scales *[16]float32) float32 {
	var top float32
	for _, s := range scales {
		if s > top {
			top = s
		}
	}
	if !(top > 0) {
		return 0
	}
	inverse := 15 / top
	for i, s := range scales {
		l[i] = uint8(nearestInt(float32(inverse * s)))
	}
	return top / 15
}

// packPairs lays out each half of a super-block as four runs of 32 that share 32 bytes, two bits each.
func packPairs(p *[64]byte, q *[len256]uint8) {
	for half := range 2 {
		out, r := p[32*half:32*half+32], q[128*half:128*half+128]
		for i := range out {
			out[i] = r[i]&3 | r[32+i]&3<<2 | r[64+i]&3<<4 | r[96+i]<<6
		}
	}
}

func decodeQ2_K(dst []float32, src []byte) {
	for ; len(dst) >= len256; dst, src = dst[len256:], src[sizeQ2_K:] {
		x := (*[sizeQ2_K]byte)(src)
		d, dmin := F16ToF32(load16(x[dQ2_K:])), F16ToF32(load16(x[dQ2_K+2:]))
		for g := range 16 {
			scale, low := float32(d*float32(x[g]&15)), float32(dmin*float32(x[g]>>4))
			// Group g is half of run g/2%4 in half g/8.
			q, shift := x[16+32*(g/8)+16*(g%2):], g/2%4*2
			for i, b := range q[:16] {
				dst[16*g+i] = float32(scale*float32(b>>shift&3)) - low
			}
		}
	}
}
