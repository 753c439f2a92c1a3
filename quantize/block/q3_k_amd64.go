//go:build amd64 && !purego

package block

import (
	"math/bits"
	"sync"

	"github.com/moeconv/moeconv/gguf"
)

//go:generate go run -C _asm . -gen q3_k -out ../q3_k_amd64.s -stubs ../q3_k_stubs_amd64.go -pkg block

// kernelsQ3K are the kernels of one form.
type kernelsQ3K struct {
	still  func(fits, groups *float32) (moving uint32)
	refine func(groups *float32)
	fit    func(groups, trials *float32, chunks int)
	wide   bool
}

func init() {
	for f, k := range map[form]kernelsQ3K{
		avx2:   {stillQ3KAVX2, refineQ3KAVX2, fitSignedAVX2, false},
		avx512: {stillQ3KAVX512, refineQ3KAVX512, fitSignedAVX512, true},
	} {
		accelerate(gguf.Q3_K, f, kernels{rows: k.rows, encode: func(dst []byte, src, importance []float32) error {
			return k.rows(dst, src, len(src), importance)
		}})
	}
}

func (k *kernelsQ3K) rows(dst []byte, src []float32, ne0 int, importance []float32) error {
	s := scratchesQ3K.Get().(*scratchQ3K)
	defer scratchesQ3K.Put(s)
	encode, n := func(y []byte, x, w []float32, column int) uint { return k.weighted(s, y, x, w, column) }, 16
	if importance == nil {
		encode, n = func(y []byte, x, _ []float32, _ int) uint { return k.plain(s, y, x) }, len(s.found)
	}
	return batches256(gguf.Q3_K, n, dst, src, ne0, importance, encode, blockQ3_K)
}

// scratchQ3K is what some super-blocks need while they are encoded together.
type scratchQ3K struct {
	groups *signedGroups      // of a super-block, or the scales of 16
	found  [64]signedFits     // by super-block
	scales [2][16][16]float32 // under importance: scales, sums of weights

	refined *[4]signedGroups // groups from anywhere, without importance
	moving  []int            // byte offsets of such groups
}

var scratchesQ3K = sync.Pool{New: func() any {
	return &scratchQ3K{groups: aligned[signedGroups](), refined: aligned[[4]signedGroups](), moving: make([]int, 0, 64*16)}
}}

// plain encodes up to 64 super-blocks, and returns a bit for each that it leaves.
func (k *kernelsQ3K) plain(s *scratchQ3K, y []byte, x []float32) (left uint) {
	g := &s.groups.x[0][0]
	s.moving = s.moving[:0]
	for b := range len(x) / len256 {
		loadBare(g, &x[b*len256], groupsOf16, 16)
		for moving := k.still(&s.found[b].most[0], g); moving != 0; moving &= moving - 1 {
			s.moving = append(s.moving, 4*(b*len256+16*bits.TrailingZeros32(moving)))
		}
	}
	for n := len(s.moving); len(s.moving)%64 != 0; { // the last one fills up
		s.moving = append(s.moving, s.moving[n-1])
	}
	for at := 0; at < len(s.moving); at += 64 {
		k.refineGroups(s, x, s.moving[at:at+64])
	}
	return finishQ3K(&s.found[0].most[0], &x[0], &y[0], len(x)/len256)
}

// refineGroups finds the scales of 64 groups of x.
func (k *kernelsQ3K) refineGroups(s *scratchQ3K, x []float32, offsets []int) {
	for i := range s.refined {
		loadPlain(&s.refined[i].x[0][0], &x[0], (*[16]int)(offsets[16*i:]), 16)
	}
	k.refine(&s.refined[0].x[0][0])
	for i := range s.refined {
		for j, scale := range s.refined[i].scale {
			group := uint(offsets[16*i+j]) / (4 * 16)
			f, g := &s.found[group/16], group%16
			f.scale[g], f.inverse[g] = scale, nan32 // the quants are not those of inverse
		}
	}
}

// weighted encodes up to 16 super-blocks, and returns a bit for each that it leaves.
func (k *kernelsQ3K) weighted(s *scratchQ3K, y []byte, x, w []float32, column int) (left uint) {
	blocks, g := len(x)/len256, &s.groups.x[0][0]
	var sums [16]float32
	runSums(sums[:], x, len256, k.wide)
	for b := range blocks {
		sigma2 := float32(2*sums[b]) / len256
		if sigma2-sigma2 != 0 {
			left |= 1 << b
		}
		loadImportant(g, &x[b*len256], &w[(column+b*len256)%len(w)], groupsOf16, 16, sigma2)
		k.fit(g, &trials4[0], 1)
		s.found[b].of(s.groups)
		s.scales[0][b], s.scales[1][b] = s.groups.scale, s.groups.sum
	}
	loadWeighted(g, &s.scales[0][0][0], &s.scales[1][0][0], strided(4*16, blocks), 16)
	k.fit(g, &trials32[0], 1)
	return left | finishImportantQ3K(&s.found[0].most[0], &x[0], &y[0], blocks, &s.groups.scale[0], &s.groups.inverse[0])
}
