package block

import "github.com/moeconv/moeconv/gguf"

// An IQ3_S super-block: d (f16), the low 8 bits of 64 ranks of points on the grid, the high bits of these, the signs of
// 256 weights, scales of 4 bits for 8 groups of 32 weights. Value = d*(1+2*scale) * +-level.
const sizeIQ3_S = 2 + 64 + 8 + 32 + 4

var searchIQ3_S = gridSearch{lattice: latticeIQ3_S, trials: 9, redo: true}

func init() {
	register(Codec{Type: gguf.IQ3_S, Encode: encodeIQ3_S, Decode: decodeIQ3_S, Validate: validate16(gguf.IQ3_S, 0)})
}

func encodeIQ3_S(dst []byte, src, importance []float32) error {
	return each256(gguf.IQ3_S, dst, src, importance, blockIQ3_S)
}

func blockIQ3_S(y []byte, x, importance *[len256]float32) (bad float32) {
	var (
		f      gridFit
		scales [8]float32
		sigma2 float32
		w      []float32
	)
	clear(y)
	if importance != nil {
		if sigma2 = meanSquareTwice(x); sigma2-sigma2 != 0 {
			return sigma2
		}
	}
	// The reference does not move on in these two after a group of zeros. The groups behind it are stored where they
	// are not looked for, and decode wrongly; its bytes are what is wanted here.
	low, allSigns := y[2:66], y[74:106]
	for g := range scales {
		xs := x[32*g : 32*g+32]
		if importance != nil {
			w = importance[32*g : 32*g+32]
		}
		f.weigh(xs, w, sigma2)
		signs, top := f.magnitudes(xs)
		if top == 0 {
			continue
		}
		scale := searchIQ3_S.fit(&f, top)
		if f.noChoice || scale-scale != 0 {
			return notNumber(scale)
		}
		if scale < 0 {
			scale, signs = -scale, ^signs
		}
		for k, p := range f.points {
			rank := f.lattice.index[p]
			low[k] = byte(rank)
			y[66+g] |= byte(rank >> 8 << k)
		}
		store32(allSigns, signs)
		low, allSigns = low[8:], allSigns[4:]
		scales[g] = scale
	}
	top := largest(&scales)
	if top == 0 {
		return 0
	}
	d := top / 31
	if _, bad := storeScale(y, float32(d*1.033)); bad != 0 {
		return bad
	}
	inverse := 1 / d
	for g, s := range scales {
		l := max(0, min(15, nearestInt(float32(0.5*(float32(inverse*s)-1)))))
		y[106+g/2] |= byte(l << (4 * (g & 1)))
	}
	return 0
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
