package block

import (
	"math/bits"

	"github.com/moeconv/moeconv/gguf"
)

// An IQ3_XXS super-block: d (f16), 64 ranks of points on the grid, 8 words of 32 bits, one for each group of 32 weights:
// four times the signs of seven weights (the eighth makes their number even) and a scale of 4 bits.
// Value = d*(scale+0.5)/2 * +-level.
const sizeIQ3_XXS = 2 + 64 + 32

// tinyIQ3_XXS is the magnitude below which a group is taken for zeros.
const tinyIQ3_XXS = 1e-8

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
	groups, bad := searchIQ3_XXS.super(x, importance, (*gridFit).evenSigns, tinyIQ3_XXS)
	if bad != 0 {
		return bad
	}
	return packIQ3_XXS(y, &groups)
}

func packIQ3_XXS(y []byte, groups *[8]gridGroup) (bad float32) {
	clear(y)
	d, l, ok := roundGrid(groups, 0x0fffffff)
	if !ok {
		return 0
	}
	if _, bad := storeScale(y, float32(d*1.0125)); bad != 0 {
		return bad
	}
	index := &latticeIQ3_XXS().index
	for i, g := range groups {
		for k, p := range g.points {
			y[2+8*i+k] = byte(index[p])
		}
		store32(y[66+4*i:], g.signs|uint32(l[i])<<28)
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
