package block

import (
	"math/bits"

	"github.com/moeconv/moeconv/gguf"
)

// An IQ3_XXS super-block: d (f16), 64 ranks of points on the grid, 8 words of 32 bits, one for each group of 32 weights:
// four times the signs of seven weights (the eighth makes their number even) and a scale of 4 bits.
// Value = d*(scale+0.5)/2 * +-level.
const sizeIQ3_XXS = 2 + 64 + 32

var searchIQ3_XXS = gridSearch{lattice: latticeIQ3_XXS, trials: 15}

// levelsIQ3_XXS are the values of a point's levels, about four times those of the search.
var levelsIQ3_XXS = [8]float32{4, 12, 20, 28, 36, 44, 52, 62}

func init() {
	register(Codec{Type: gguf.IQ3_XXS, Encode: encodeIQ3_XXS, Decode: decodeIQ3_XXS, Validate: validate16(gguf.IQ3_XXS, 0)})
}

func encodeIQ3_XXS(dst []byte, src, importance []float32) error {
	return each256(gguf.IQ3_XXS, dst, src, importance, blockIQ3_XXS)
}

func blockIQ3_XXS(y []byte, x, importance *[len256]float32) (bad float32) {
	const tiny = 1e-8 // groups below are taken for zeros
	var (
		f      gridFit
		scales [8]float32
		words  [8]uint32
		sigma2 float32
		w      []float32
	)
	clear(y)
	if importance != nil {
		if sigma2 = meanSquareTwice(x); sigma2-sigma2 != 0 {
			return sigma2
		}
	}
	for g := range scales {
		xs := x[32*g : 32*g+32]
		if importance != nil {
			w = importance[32*g : 32*g+32]
		}
		f.weigh(xs, w, sigma2)
		signs, top := f.evenSigns(xs)
		if top < tiny {
			continue
		}
		scale := searchIQ3_XXS.fit(&f, top)
		if f.noChoice || scale-scale != 0 {
			return notNumber(scale)
		}
		if scale < 0 {
			scale, signs = -scale, signs^0x0fffffff
		}
		for k, p := range f.points {
			y[2+8*g+k] = byte(f.lattice.index[p])
		}
		words[g], scales[g] = signs, scale
	}
	top := largest(&scales)
	if top == 0 {
		clear(y)
		return 0
	}
	d := top / 31
	if _, bad := storeScale(y, float32(d*1.0125)); bad != 0 {
		return bad
	}
	inverse := 1 / d
	for g, s := range scales {
		l := max(0, min(15, nearestInt(float32(0.5*(float32(inverse*s)-1)))))
		store32(y[66+4*g:], words[g]|uint32(l)<<28)
	}
	return 0
}

// evenSigns sets the magnitudes of 32 weights and returns the signs of the first seven of every eight, and the largest
// magnitude. Where an odd number of eight is negative, the one that matters least gets the wrong sign.
func (f *gridFit) evenSigns(x []float32) (signs uint32, top float32) {
	for k := range 4 {
		xs, w, out := (*[8]float32)(x[8*k:]), (*[8]float32)(f.w[8*k:]), (*[8]float32)(f.x[8*k:])
		var s uint32
		for i, v := range xs {
			out[i] = v
			if v < 0 {
				out[i] = -v
				s |= 1 << i
			}
		}
		if bits.OnesCount32(s)&1 != 0 {
			least, at := float32(float32(w[0]*xs[0])*xs[0]), 0
			for i, v := range xs {
				if a := float32(float32(w[i]*v) * v); a < least {
					least, at = a, i
				}
			}
			out[at] = -out[at]
			s ^= 1 << at
		}
		signs |= s & 127 << (7 * k)
	}
	top = f.x[0]
	for _, v := range f.x {
		if v > top {
			top = v
		}
	}
	return signs, top
}

func decodeIQ3_XXS(dst []float32, src []byte) {
	points := latticeIQ3_XXS().points
	for ; len(dst) >= len256; dst, src = dst[len256:], src[sizeIQ3_XXS:] {
		d := F16ToF32(load16(src))
		for g := range 8 {
			word := load32(src[66+4*g:])
			db := float32(float32(d*(0.5+float32(word>>28))) * 0.5)
			for k := range 8 {
				p := points[src[2+8*g+k]]
				s := evenSign(word>>(7*(k/2))&127) >> (4 * (k & 1))
				y := (*[4]float32)(dst[32*g+4*k:])
				for i := range y {
					y[i] = flip(float32(db*levelsIQ3_XXS[p>>(3*i)&7]), s>>i)
				}
			}
		}
	}
}

// evenSign completes the signs of seven weights by an eighth that makes their number even.
func evenSign(s uint32) uint32 { return s | uint32(bits.OnesCount32(s)&1)<<7 }
