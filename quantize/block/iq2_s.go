package block

import "github.com/moeconv/moeconv/gguf"

// An IQ2_S super-block: f16 scale d, for each of 32 groups of 8 weights the low byte of a point's position, then their signs,
// then two upper bits of the positions, and 16 nibbles of scales, one a run of 16 weights.
const (
	lowIQ2_S    = 2
	signsIQ2_S  = lowIQ2_S + 32
	highIQ2_S   = signsIQ2_S + 32
	scalesIQ2_S = highIQ2_S + 8
	sizeIQ2_S   = scalesIQ2_S + 8
)

// tinyIQ2_S is the magnitude below which a run counts as zeros.
const tinyIQ2_S = 1e-8

func init() {
	register(Codec{Type: gguf.IQ2_S, Encode: encodeIQ2_S, Decode: decodeIQ2_S, Validate: validate16(gguf.IQ2_S, 0)})
}

func encodeIQ2_S(dst []byte, src, importance []float32) error {
	return each256(gguf.IQ2_S, dst, src, importance, blockIQ2_S)
}

func blockIQ2_S(y []byte, x, importance *[len256]float32) (bad float32) {
	var (
		v, w   [16]float32
		scales [16]float32
		l      [16]uint8
		signs  [2]uint8
	)
	clear(y)
	sigma2 := meanSquareTwice(x)
	if sigma2-sigma2 != 0 {
		return sigma2
	}
	for i := range scales {
		xs := x[16*i : 16*i+16]
		if importance != nil {
			weigh(w[:], xs, importance[16*i:16*i+16], sigma2)
		} else {
			for i, f := range xs {
				w[i] = float32(0.25*sigma2) + float32(f*f)
			}
		}
		for k := range signs {
			signs[k] = magnitudes(v[8*k:], xs[8*k:])
		}
		top := greatest(v[:])
		if top < tinyIQ2_S {
			continue
		}
		r := fitIQ2(gridIQ2_S(), &v, &w, top)
		if r.scale < 0 {
			r.scale, signs = -r.scale, [2]uint8{^signs[0], ^signs[1]}
		}
		if scales[i] = r.scale; !(r.scale >= 0) {
			return r.scale
		}
		for k, s := range signs {
			y[lowIQ2_S+2*i+k] = uint8(r.points[k])
			y[signsIQ2_S+2*i+k] = s
			y[highIQ2_S+i/2] |= uint8(r.points[k]>>8) << (i%2*4 + 2*k)
		}
	}
	if greatest(scales[:]) == 0 {
		return 0
	}
	d := scalesIQ2(l[:], scales[:])
	packRunScales(y[scalesIQ2_S:], &l)
	_, bad = storeScale(y, float32(d*0.9875))
	return bad
}

func decodeIQ2_S(dst []float32, src []byte) {
	g := gridIQ2_S()
	for ; len(dst) >= len256; dst, src = dst[len256:], src[sizeIQ2_S:] {
		d := F16ToF32(load16(src))
		for i := range 32 {
			p := int(src[lowIQ2_S+i]) | int(src[highIQ2_S+i/4]>>(i%4*2)&3)<<8
			l := src[scalesIQ2_S+i/4] >> (i / 2 % 2 * 4) & 15
			decodeIQ2(dst[8*i:], &g.digits[p], src[signsIQ2_S+i], scaleIQ2(d, l))
		}
	}
}
