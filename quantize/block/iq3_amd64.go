//go:build amd64 && !purego

package block

import (
	"sync"

	"github.com/moeconv/moeconv/gguf"
)

//go:generate go -C _asm run . -gen iq3 -out ../iq3_amd64.s -stubs ../iq3_stubs_amd64.go -pkg block

func init() {
	accelerate(gguf.IQ3_XXS, avx512, kernels{encode: encodeIQ3_XXSKernels})
	accelerate(gguf.IQ3_S, avx512, kernels{encode: encodeIQ3_SKernels})
}

// lanesIQ3 are the groups of 32 that kernels fit at a time.
const lanesIQ3 = 16

// fitsIQ3 is what kernels make of groups: points as words with four bits a level, of which bits 3 and 15 mean nothing.
type fitsIQ3 struct {
	points [8][lanesIQ3]uint32
	scale  [lanesIQ3]float32
	signs  [lanesIQ3]uint32
	top    [lanesIQ3]float32
	flags  uint64 // bits of the groups that the portable form must do, where they are no zeros
}

// super gives the groups of a super-block, the first of which is in lane l. ok is false if one is missing.
func (f *fitsIQ3) super(groups *[8]gridGroup, l int, tiny float32) (ok bool) {
	for i := range groups {
		g, at := &groups[i], l+i
		if f.top[at] < tiny {
			*g = gridGroup{zero: true}
			continue
		}
		if s := f.scale[at]; f.flags>>at&1 != 0 || s-s != 0 {
			return false
		}
		*g = gridGroup{scale: f.scale[at], signs: f.signs[at]}
		for k := range g.points {
			g.points[k] = uint16(compact3(int(f.points[k][at] & 0x7777)))
		}
	}
	return true
}

// fitTable holds the points that may take the place of each point, four of 16 bits in a word: four bits a level, bit 3
// set where they stand for a point off the grid, bit 15 in the last one if more follow, in the next row of 8192 words.
// The second half of a row is of points that are not surely the nearest ones, for which all neighbours are there; in the
// first half those are left out that are farther in all levels than one before them.
type fitTable []uint64

const fitRow = 2 * 4096

var (
	tableIQ3_XXS = sync.OnceValue(func() fitTable { return newFitTable(latticeIQ3_XXS()) })
	tableIQ3_S   = sync.OnceValue(func() fitTable { return newFitTable(latticeIQ3_S()) })
)

func newFitTable(l *lattice3) fitTable {
	t := make(fitTable, fitRow)
	for p, index := range l.index {
		const off = 1 << 3
		if index >= 0 {
			t.set(p, []uint16{uint16(p)}, 0)
			t.set(p+fitRow/2, []uint16{uint16(p)}, 0)
			continue
		}
		t.set(p, notFarther(p, l.near(index)), off)
		t.set(p+fitRow/2, l.near(index), off)
	}
	return t
}

// set writes the points of a place.
func (t *fitTable) set(at int, points []uint16, flag uint64) {
	for ; ; at += fitRow {
		if at >= len(*t) {
			*t = append(*t, make(fitTable, fitRow)...)
		}
		var word uint64
		for i := range 4 {
			word |= (uint64(spread3(int(points[min(i, len(points)-1)]))) | flag) << (16 * i)
		}
		if len(points) > 4 {
			word |= 1 << 63
		}
		(*t)[at] = word
		if points = points[min(4, len(points)):]; len(points) == 0 {
			return
		}
	}
}

// notFarther leaves out points that are farther from all that is rounded to p than another one before them.
func notFarther(p int, points []uint16) []uint16 {
	var kept []uint16
	for _, q := range points {
		farther := false
		for _, k := range kept {
			farther = farther || between3(p, int(k), int(q))
		}
		if !farther {
			kept = append(kept, q)
		}
	}
	return kept
}

// between3 reports whether each level of b is that of a or c, or between them.
func between3(a, b, c int) bool {
	for i := 0; i < 12; i += 3 {
		la, lb, lc := a>>i&7, b>>i&7, c>>i&7
		if lb < min(la, lc) || lb > max(la, lc) {
			return false
		}
	}
	return true
}

func encodeIQ3_XXSKernels(dst []byte, src, importance []float32) error {
	return encodeIQ3(gguf.IQ3_XXS, dst, src, importance)
}

func encodeIQ3_SKernels(dst []byte, src, importance []float32) error {
	return encodeIQ3(gguf.IQ3_S, dst, src, importance)
}

// encodeIQ3 encodes two super-blocks at a time.
func encodeIQ3(t gguf.Type, dst []byte, src, importance []float32) error {
	const pair = 2 * len256
	var (
		padded, paddedWeights [pair]float32
		sums                  [16]float32
		fits                  fitsIQ3
		size                  = t.BlockSize()
	)
	for b := 0; b < len(src)/len256; b += 2 {
		x, w := src[b*len256:], importance
		if w != nil {
			w = w[b*len256:]
			if b%len(sums) == 0 {
				runSums(sums[:], x[:min(len(x), len(sums)*len256)], len256, true)
			}
		}
		blocks := min(2, len(x)/len256)
		if blocks < 2 {
			copy(padded[:], x)
			copy(paddedWeights[:], w)
			x = padded[:]
			if w != nil {
				w = paddedWeights[:]
			}
		}
		fitIQ3(t, &fits, x, w, sums[b%len(sums):])
		for i := range blocks {
			var weights *[len256]float32
			if w != nil {
				weights = (*[len256]float32)(w[i*len256:])
			}
			xs := (*[len256]float32)(x[i*len256:])
			if bad := finishIQ3(t, dst[(b+i)*size:(b+i+1)*size], &fits, 8*i, xs, weights); bad != 0 {
				return badScale(t, xs[:], (b+i)*len256, bad)
			}
		}
	}
	return nil
}

// fitIQ3 fits two super-blocks, given the sums of their squares.
func fitIQ3(t gguf.Type, fits *fitsIQ3, x, w, sums []float32) {
	if w == nil {
		if t == gguf.IQ3_S {
			fitIQ3_SAVX512(&fits.points[0][0], &x[0], &tableIQ3_S()[0])
		} else {
			fitIQ3_XXSAVX512(&fits.points[0][0], &x[0], &tableIQ3_XXS()[0])
		}
		return
	}
	var sigma2 [lanesIQ3]float32
	for i := range sigma2 {
		sigma2[i] = float32(sums[i/8] * (2. / len256))
	}
	if t == gguf.IQ3_S {
		fitIQ3_SWeightedAVX512(&fits.points[0][0], &x[0], &w[0], &sigma2[0], &tableIQ3_S()[0])
	} else {
		fitIQ3_XXSWeightedAVX512(&fits.points[0][0], &x[0], &w[0], &sigma2[0], &tableIQ3_XXS()[0])
	}
}

// finishIQ3 writes a super-block whose groups are in the lanes from l on; the portable form writes it if one is missing.
func finishIQ3(t gguf.Type, y []byte, fits *fitsIQ3, l int, x, w *[len256]float32) (bad float32) {
	var groups [8]gridGroup
	if t == gguf.IQ3_S {
		if !fits.super(&groups, l, tinyIQ3_S) {
			return blockIQ3_S(y, x, w)
		}
		return packIQ3_S(y, &groups)
	}
	if !fits.super(&groups, l, tinyIQ3_XXS) {
		return blockIQ3_XXS(y, x, w)
	}
	return packIQ3_XXS(y, &groups)
}
