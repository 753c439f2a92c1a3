//go:build amd64 && !purego

package block

import "github.com/moeconv/moeconv/gguf"

//go:generate go run -C _asm . -gen q6_k -out ../q6_k_amd64.s -stubs ../q6_k_stubs_amd64.go -pkg block

func init() {
	for f := avx2; f <= avx512; f++ {
		fit := fitSignedForms[f]
		accelerate(gguf.Q6_K, f, kernels{encode: func(dst []byte, src, importance []float32) error {
			s := signedScratches.Get().(*signedGroups)
			defer signedScratches.Put(s)
			g := &s.x[0][0]
			return each256(gguf.Q6_K, dst, src, importance, func(y []byte, x, w *[len256]float32) (bad float32) {
				if w == nil {
					loadPlain(g, &x[0], groupsOf16, 16)
				} else {
					loadWeighted(g, &x[0], &w[0], groupsOf16, 16)
				}
				fit(g, &trials32[0], 1)
				if finishQ6K(g, &x[0], &y[0]) {
					return 0
				}
				return blockQ6_K(y, x, w)
			})
		}})
	}
}
