//go:build amd64 && !purego

package block

import "github.com/moeconv/moeconv/gguf"

func init() {
	c := minCodec{t: gguf.Q2_K, n: 16, plain: plainQ2_K, weighted: weightedQ2_K, scaleTop: 15, portable: blockQ2_K, head: headQ2_K,
		meanSquare: func(x *[len256]float32) float32 { return meanSquare(x[:], len256) }}
	c.minForm = minForm{transposeAVX2, searchPlain16AVX2, searchWeighted16AVX2, roundScales15AVX2, requantQ2_KAVX2}
	accelerateMin(avx2, c)
	c.minForm = minForm{transposeAVX512, searchPlain16AVX512, searchWeighted16AVX512, roundScales15AVX512, requantQ2_KAVX512}
	accelerateMin(avx512, c)
}

// headQ2_K writes what the scales and mins of 16 groups are rounded to.
func headQ2_K(y []byte, s *minScratch, first int) {
	scales, mins := s.rounded[0][first:first+16], s.rounded[1][first:first+16]
	for g, l := range scales {
		y[g] = l | mins[g]<<4
	}
	store16(y[dQ2_K:], s.half[0][first])
	store16(y[dQ2_K+2:], s.half[1][first])
}
