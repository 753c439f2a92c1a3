//go:build amd64 && !purego

package block

import (
	"sync"

	"github.com/moeconv/moeconv/gguf"
)

//go:generate go -C _asm run . -gen iq3 -out ../iq3_amd64.s -stubs ../iq3_stubs_amd64.go -pkg block

func init() {
	accelerate(gguf.IQ3_XXS, avx512, kernels{encode: kernelsIQ3{gguf.IQ3_XXS, true}.encode})
	accelerate(gguf.IQ3_XXS, avx2, kernels{encode: kernelsIQ3{gguf.IQ3_XXS, false}.encode})
	accelerate(gguf.IQ3_S, avx512, kernels{encode: kernelsIQ3{gguf.IQ3_S, true}.encode})
	accelerate(gguf.IQ3_S, avx2, kernels{encode: kernelsIQ3{gguf.IQ3_S, false}.encode})
}

// fitIQ3 is what kernels make of a group: points as words with four bits a level, of which bits 3 and 15 mean nothing.
type fitIQ3 struct {
	words [8]uint16
	scale float32
	signs uint32
	top   float32
	flags uint32 // not 0 if the portable form must do it, where it is no zeros
}

// group gives the group. ok is false if the portable form must find it.
func (f *fitIQ3) group(tiny float32) (g gridGroup, ok bool) {
	if f.top < tiny {
		return gridGroup{zero: true}, true
	}
	if f.flags != 0 || f.scale-f.scale != 0 {
		return g, false
	}
	g.scale, g.signs = f.scale, f.signs
	for k, w := range f.words {
		g.points[k] = uint16(compact3(int(w & 0x7777)))
	}
	return g, true
}

// fitTable says what may take the place of each point: in the second half of the entries by all neighbours, for values
// that may round to another point as well; in the first by those of them that are not farther, in all levels, than one
// before them. Points are words of four bits a level, and bit 3 where they stand for one off the grid.
type fitTable struct {
	entries [2 * 4096]uint32 // the point itself if it is on the grid; from bit 15 on the number of lists; from bit 18 on the first of these
	lists   []uint16         // points in eights; the first of a list fills it up
}

var (
	tableIQ3_XXS = sync.OnceValue(func() *fitTable { return newFitTable(latticeIQ3_XXS()) })
	tableIQ3_S   = sync.OnceValue(func() *fitTable { return newFitTable(latticeIQ3_S()) })
)

func newFitTable(l *lattice3) *fitTable {
	t := &fitTable{lists: make([]uint16, 0, 1<<17)}
	for p, index := range l.index {
		if index >= 0 {
			t.entries[p] = uint32(spread3(p))
			t.entries[p+4096] = t.entries[p]
			continue
		}
		t.entries[p] = t.add(notFarther(p, l.near(index)))
		t.entries[p+4096] = t.add(l.near(index))
	}
	t.lists = append(t.lists, make([]uint16, 8)...) // may be read where no error is a number
	return t
}

// add appends lists of points and returns the entry for them.
func (t *fitTable) add(points []uint16) uint32 {
	const off = 1 << 3
	entry := uint32(len(t.lists)/8<<18 | (len(points)+7)/8<<15)
	for len(points) > 0 {
		for i := range 8 {
			if i >= len(points) {
				i = 0
			}
			t.lists = append(t.lists, uint16(spread3(int(points[i]))|off))
		}
		points = points[min(8, len(points)):]
	}
	return entry
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

// kernelsIQ3 calls the kernels of a type and a form. The calls are written out so that nothing of their arguments escapes.
type kernelsIQ3 struct {
	t    gguf.Type
	wide bool
}

// batchIQ3 is the number of super-blocks that are fitted at a time.
const batchIQ3 = 16

func (k kernelsIQ3) encode(dst []byte, src, importance []float32) error {
	var (
		fits [8 * batchIQ3]fitIQ3
		size = k.t.BlockSize()
	)
	for b := 0; b < len(src)/len256; b += batchIQ3 {
		x, w := src[b*len256:min((b+batchIQ3)*len256, len(src))], importance
		if w != nil {
			w = w[b*len256:][:len(x)]
		}
		k.fit(&fits, x, w)
		for i := range len(x) / len256 {
			var weights *[len256]float32
			if w != nil {
				weights = (*[len256]float32)(w[i*len256:])
			}
			xs := (*[len256]float32)(x[i*len256:])
			if bad := k.finish(dst[(b+i)*size:(b+i+1)*size], (*[8]fitIQ3)(fits[8*i:]), xs, weights); bad != 0 {
				return errLeft
			}
		}
	}
	return nil
}

// finish writes a super-block; the portable form does if one of its groups is missing.
func (k kernelsIQ3) finish(y []byte, fits *[8]fitIQ3, x, w *[len256]float32) (bad float32) {
	var groups [8]gridGroup
	tiny := float32(tinyIQ3_S)
	if k.t == gguf.IQ3_XXS {
		tiny = tinyIQ3_XXS
	}
	ok := true
	for i := range fits {
		if groups[i], ok = fits[i].group(tiny); !ok {
			break
		}
	}
	switch {
	case k.t == gguf.IQ3_XXS && ok:
		return packIQ3_XXS(y, &groups)
	case k.t == gguf.IQ3_XXS:
		return blockIQ3_XXS(y, x, w)
	case ok:
		return packIQ3_S(y, &groups)
	}
	return blockIQ3_S(y, x, w)
}

// fit fits the groups of up to batchIQ3 super-blocks.
func (k kernelsIQ3) fit(fits *[8 * batchIQ3]fitIQ3, x, w []float32) {
	out, groups := &fits[0].words[0], len(x)/len32
	t := tableIQ3_S()
	if k.t == gguf.IQ3_XXS {
		t = tableIQ3_XXS()
	}
	if w == nil {
		switch {
		case k.t == gguf.IQ3_XXS && k.wide:
			fitIQ3_XXSAVX512(out, &x[0], &t.entries[0], &t.lists[0], groups)
		case k.t == gguf.IQ3_XXS:
			fitIQ3_XXSAVX2(out, &x[0], &t.entries[0], &t.lists[0], groups)
		case k.wide:
			fitIQ3_SAVX512(out, &x[0], &t.entries[0], &t.lists[0], groups)
		default:
			fitIQ3_SAVX2(out, &x[0], &t.entries[0], &t.lists[0], groups)
		}
		return
	}
	var sums [batchIQ3]float32
	var sigma2 [8 * batchIQ3]float32
	runSums(sums[:], x, len256, k.wide)
	for i := range sigma2 {
		sigma2[i] = float32(sums[i/8] * (2. / len256))
	}
	switch {
	case k.t == gguf.IQ3_XXS && k.wide:
		fitIQ3_XXSWeightedAVX512(out, &x[0], &w[0], &sigma2[0], &t.entries[0], &t.lists[0], groups)
	case k.t == gguf.IQ3_XXS:
		fitIQ3_XXSWeightedAVX2(out, &x[0], &w[0], &sigma2[0], &t.entries[0], &t.lists[0], groups)
	case k.wide:
		fitIQ3_SWeightedAVX512(out, &x[0], &w[0], &sigma2[0], &t.entries[0], &t.lists[0], groups)
	default:
		fitIQ3_SWeightedAVX2(out, &x[0], &w[0], &sigma2[0], &t.entries[0], &t.lists[0], groups)
	}
}
