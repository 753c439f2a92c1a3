//go:build amd64 && !purego

package block

import "github.com/moeconv/moeconv/gguf"

func init() {
	c := minCodec{t: gguf.Q2_K, n: 16, plain: plainQ2_K, weighted: weightedQ2_K, variance: 1, scaleTop: 15, portable: blockQ2_K, head: headQ2_K}
	c.accelerate(minForm{avx2, transposeAVX2, searchPlain16AVX2, searchWeighted16AVX2, roundScales15AVX2, fitScalesAVX2, spreadScales16AVX2, requantQ2_KAVX2})
	c.accelerate(minForm{avx512, transposeAVX512, searchPlain16AVX512, searchWeighted16AVX512, roundScales15AVX512, fitScalesAVX512, spreadScales16AVX512, requantQ2_KAVX512})
}

// headQ2_K writes what the scales and mins of 16 groups are rounded to.
func headQ2_K(y []byte, s *minScratch, first int) {
	scales, mins := s.rounded[0][first:first+16], s.rounded[1][first:first+16]
	for g, l := range scales {
		y[g] = l | mins[g]<<4
	}
	store16(y[dQ2_K:], s.halves[0][first])
	store16(y[dQ2_K+2:], s.halves[1][first])
}
