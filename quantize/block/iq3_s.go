package block

import (
	"math"

	"github.com/moeconv/moeconv/gguf"
)

// An IQ3_S super-block: d (f16), the low 8 bits of 64 ranks of points on the grid, the high bits of these, the signs of
// 256 weights, scales of 4 bits for 8 groups of 32 weights. Value = d*(1+2*scale) * +-level.
const sizeIQ3_S = 2 + 64 + 8 + 32 + 4

// tinyIQ3_S is the magnitude below which a group is taken for zeros.
const tinyIQ3_S = math.SmallestNonzeroFloat32

var searchIQ3_S = gridSearch{lattice: latticeIQ3_S, trials: 9, redo: true}

func init() {
	register(Codec{Type: gguf.IQ3_S, Encode: encodeIQ3_S, Decode: decodeIQ3_S, Validate: validate16(gguf.IQ3_S, 0)})
}

func encodeIQ3_S(dst []byte, src, importance []float32) error {
	return each256(gguf.IQ3_S, dst, src, importance, blockIQ3_S)
}

func blockIQ3_S(y []byte, x, importance *[len256]float32) (bad float32) {
	groups, bad := searchIQ3_S.super(x, importance, (*gridFit).magnitudes, tinyIQ3_S)
	if bad != 0 {
		return bad
	}
	return packIQ3_S(y, &groups)
}

func packIQ3_S(y []byte, groups *[8]gridGroup) (bad float32) {
	clear(y)
	d, l, ok := roundGrid(groups, 0xffffffff)
	// The reference does not move on in these two after a group of zeros. The groups behind it are stored where they
	// are not looked for, and decode wrongly; its bytes are what is wanted here.
	low, signs := y[2:66], y[74:106]
	index := &latticeIQ3_S().index
	for i, g := range groups {
		if g.zero {
			continue
		}
		for k, p := range g.points {
			rank := index[p]
			low[k] = byte(rank)
			y[66+i] |= byte(rank >> 8 << k)
		}
		store32(signs, g.signs)
		low, signs = low[8:], signs[4:]
	}
	if !ok {
		return 0
	}
	for i, v := range l {
		y[106+i/2] |= v << (4 * (i & 1))
	}
	_, bad = storeScale(y, float32(d*1.033))
	return bad
}

// magnitudes sets those of 32 weights and returns their signs and the largest one.
func (f *gridFit) magnitudes(x []float32) (signs uint32, top float32) {
	for i, v := range x[:32] {
		f.x[i] = v
		if v < 0 {
			f.x[i] = -v
			signs |= 1 << i
		}
		if f.x[i] > top {
			top = f.x[i]
		}
	}
	return signs, top
}

func decodeIQ3_S(dst []float32, src []byte) {
	points := latticeIQ3_S().points
	for ; len(dst) >= len256; dst, src = dst[len256:], src[sizeIQ3_S:] {
		d := F16ToF32(load16(src))
		for g := range 8 {
			db := float32(d * float32(1+2*(src[106+g/2]>>(4*(g&1))&15)))
			signs := load32(src[74+4*g:])
			for k := range 8 {
				p := points[int(src[2+8*g+k])|int(src[66+g])>>k&1<<8]
				y := (*[4]float32)(dst[32*g+4*k:])
				for i := range y {
					y[i] = flip(float32(db*float32(2*(p>>(3*i)&7)+1)), signs>>(4*k+i))
				}
			}
		}
	}
}
