package block

import "github.com/moeconv/moeconv/gguf"

// An IQ2_XXS super-block: f16 scale d, 8 runs of 32 weights in 8 bytes each: positions of 4 points, then 4 times 7 signs
// and 4 bits of scale.
const sizeIQ2_XXS = 2 + 8*8

func init() {
	register(Codec{Type: gguf.IQ2_XXS, Encode: encodeIQ2_XXS, Decode: decodeIQ2_XXS, Validate: validate16(gguf.IQ2_XXS, 0), NeedsImportance: true})
}

func encodeIQ2_XXS(dst []byte, src, importance []float32) error {
	return each256(gguf.IQ2_XXS, dst, src, importance, blockIQ2_XXS)
}

func blockIQ2_XXS(y []byte, x, importance *[len256]float32) (bad float32) {
	var (
		v, w   [32]float32
		scales [8]float32
		l      [8]uint8
	)
	clear(y)
	sigma2 := meanSquare(x[:], len256)
	if sigma2-sigma2 != 0 {
		return sigma2
	}
	for i := range scales {
		xs, out := x[32*i:32*i+32], y[2+8*i:2+8*i+8]
		weigh(w[:], xs, importance[32*i:32*i+32], sigma2)
		var signs uint32
		for k := range 4 {
			signs |= uint32(evenMagnitudes(v[8*k:], xs[8*k:], w[8*k:])) << (7 * k)
		}
		r, used := fitIQ2_XXS(gridIQ2_XXS(), &v, &w)
		if !used {
			continue
		}
		if r.scale < 0 {
			r.scale, signs = -r.scale, signs^(1<<28-1)
		}
		if scales[i] = r.scale; !(r.scale >= 0) {
			return r.scale
		}
		for k, p := range r.points {
			out[k] = uint8(p)
		}
		store32(out[4:], signs)
	}
	if greatest(scales[:]) == 0 {
		clear(y)
		return 0
	}
	d := scalesIQ2(l[:], scales[:])
	for i, l := range l {
		y[2+8*i+7] |= l << 4
	}
	_, bad = storeScale(y, d)
	return bad
}

// fitIQ2_XXS fits a run of 32 magnitudes: 13 scales around the one that fits them best were digits not bound to a grid. It is
// not used where all magnitudes or weights are next to zero; its scale is NaN where errors overflow.
func fitIQ2_XXS(g *grid8, v, w *[32]float32) (r runIQ2, used bool) {
	if greatest(v[:]) < tinyGroup {
		return r, false
	}
	var (
		q    [32]uint8
		root [32]float32
	)
	r.scale = fitScales(q[:], v[:], w[:], 4)
	top := float32(r.scale * 3)
	if top <= 0 {
		return r, false
	}
	sqrts(root[:], w[:])
	ok := true
	for is := float32(-6); is <= 6 && ok; is++ {
		ok = r.try(g, v[:], w[:], root[:], (5+float32(0.1*is))/top)
	}
	if ok && r.scale > 0 {
		r.on = [4]bool{}
		ok = r.refine(g, v[:], w[:], root[:])
	}
	if !ok {
		r.scale = nan32
	}
	return r, true
}

func decodeIQ2_XXS(dst []float32, src []byte) {
	g := gridIQ2_XXS()
	for ; len(dst) >= len256; dst, src = dst[len256:], src[sizeIQ2_XXS:] {
		d := F16ToF32(load16(src))
		for i := range 8 {
			p := src[2+8*i : 2+8*i+8]
			signs := load32(p[4:])
			scale := scaleIQ2(d, uint8(signs>>28))
			for k := range 4 {
				decodeIQ2(dst[32*i+8*k:], &g.digits[p[k]], uint8(evenSign(signs>>(7*k)&127)), scale)
			}
		}
	}
}
