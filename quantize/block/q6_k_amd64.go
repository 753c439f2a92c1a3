//go:build amd64 && !purego

package block

import (
	"sync"

	"github.com/moeconv/moeconv/gguf"
)

//go:generate go run -C _asm . -gen q6_k -out ../q6_k_amd64.s -stubs ../q6_k_stubs_amd64.go -pkg block

func init() {
	for f := avx2; f <= avx512; f++ {
		k := kernelsQ6K{fitSignedForms[f]}
		accelerate(gguf.Q6_K, f, kernels{rows: k.rows, encode: func(dst []byte, src, importance []float32) error {
			return k.rows(dst, src, len(src), importance)
		}})
	}
}

// kernelsQ6K are the kernels of one form.
type kernelsQ6K struct {
	fit func(groups, trials *float32, chunks int)
}

// scratchQ6K is what some super-blocks need while they are encoded together.
type scratchQ6K struct {
	groups *signedGroups
	found  [16]signedFits
}

var scratchesQ6K = sync.Pool{New: func() any { return &scratchQ6K{groups: aligned[signedGroups]()} }}

func (k *kernelsQ6K) rows(dst []byte, src []float32, ne0 int, importance []float32) error {
	s := scratchesQ6K.Get().(*scratchQ6K)
	defer scratchesQ6K.Put(s)
	return batches256(gguf.Q6_K, len(s.found), dst, src, ne0, importance, func(y []byte, x, w []float32, column int) uint {
		return k.encode(s, y, x, w, column)
	}, blockQ6_K)
}

// encode encodes up to 16 super-blocks, and returns a bit for each that it leaves.
func (k *kernelsQ6K) encode(s *scratchQ6K, y []byte, x, w []float32, column int) (left uint) {
	blocks, g := len(x)/len256, &s.groups.x[0][0]
	for b := range blocks {
		if w == nil {
			loadPlain(g, &x[b*len256], groupsOf16, 16)
		} else {
			loadWeighted(g, &x[b*len256], &w[(column+b*len256)%len(w)], groupsOf16, 16)
		}
		k.fit(g, &trials32[0], 1)
		s.found[b].of(s.groups)
	}
	return finishQ6K(&s.found[0].most[0], &x[0], &y[0], blocks)
}
