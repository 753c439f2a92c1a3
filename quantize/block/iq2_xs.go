package block

import "github.com/moeconv/moeconv/gguf"

// An IQ2_XS super-block: f16 scale d, 32 groups of 8 weights in 2 bytes each, a point's position in 9 bits and 7 signs, and
// 16 nibbles of scales, one a run of 16 weights.
const (
	scalesIQ2_XS = 2 + 2*32
	sizeIQ2_XS   = scalesIQ2_XS + 8
)

func init() {
	register(Codec{Type: gguf.IQ2_XS, Encode: encodeIQ2_XS, Decode: decodeIQ2_XS, Validate: validate16(gguf.IQ2_XS, 0), NeedsImportance: true})
}

func encodeIQ2_XS(dst []byte, src, importance []float32) error {
	return each256(gguf.IQ2_XS, dst, src, importance, blockIQ2_XS)
}

func blockIQ2_XS(y []byte, x, importance *[len256]float32) (bad float32) {
	var (
		v, w   [16]float32
		scales [16]float32
		l      [16]uint8
		signs  [2]uint8
	)
	clear(y)
	sigma2 := meanSquare(x[:], len256)
	if sigma2-sigma2 != 0 {
		return sigma2
	}
	for i := range scales {
		xs := x[16*i : 16*i+16]
		weigh(w[:], xs, importance[16*i:16*i+16], sigma2)
		for k := range signs {
			signs[k] = evenMagnitudes(v[8*k:], xs[8*k:], w[8*k:])
		}
		top := greatest(v[:])
		if top < tinyGroup {
			continue
		}
		r := fitIQ2(gridIQ2_XS(), &v, &w, top)
		if r.scale < 0 {
			r.scale, signs = -r.scale, [2]uint8{^signs[0] & 127, ^signs[1] & 127}
		}
		if scales[i] = r.scale; !(r.scale >= 0) {
			return r.scale
		}
		for k, s := range signs {
			store16(y[2+4*i+2*k:], uint16(r.points[k])|uint16(s)<<9)
		}
	}
	if greatest(scales[:]) == 0 {
		clear(y)
		return 0
	}
	d := scalesIQ2(l[:], scales[:])
	packRunScales(y[scalesIQ2_XS:], &l)
	_, bad = storeScale(y, d)
	return bad
}

// packRunScales packs nibbles, two a byte.
func packRunScales(p []byte, l *[16]uint8) {
	for i := range l[:8] {
		p[i] = l[2*i] | l[2*i+1]<<4
	}
}

func decodeIQ2_XS(dst []float32, src []byte) {
	g := gridIQ2_XS()
	for ; len(dst) >= len256; dst, src = dst[len256:], src[sizeIQ2_XS:] {
		d := F16ToF32(load16(src))
		for i := range 32 {
			q := load16(src[2+2*i:])
			l := src[scalesIQ2_XS+i/4] >> (i / 2 % 2 * 4) & 15
			decodeIQ2(dst[8*i:], &g.digits[q&511], uint8(evenSign(uint32(q>>9))), scaleIQ2(d, l))
		}
	}
}
