//go:build amd64 && !purego

package block

import "github.com/moeconv/moeconv/gguf"

func init() {
	for t, search := range map[gguf.Type]superSearch{gguf.Q4_K: searchQ4_K, gguf.Q5_K: searchQ5_K} {
		c := minCodec{t: t, n: 32, plain: search.plain, weighted: search.weighted, variance: 2, scaleTop: 63, portable: blockQ4_K, head: headSuper}
		requant2, requant512 := requantQ4_KAVX2, requantQ4_KAVX512
		if t == gguf.Q5_K {
			c.portable, requant2, requant512 = blockQ5_K, requantQ5_KAVX2, requantQ5_KAVX512
		}
		c.accelerate(minForm{avx2, transposeAVX2, searchPlain32AVX2, searchWeighted32AVX2, roundScales63AVX2, fitScalesAVX2, spreadScales8AVX2, requant2})
		c.accelerate(minForm{avx512, transposeAVX512, searchPlain32AVX512, searchWeighted32AVX512, roundScales63AVX512, fitScalesAVX512, spreadScales8AVX512, requant512})
	}
}

// headSuper writes the head of a super-block of eight groups.
func headSuper(y []byte, s *minScratch, first int) {
	store16(y[0:2], s.halves[0][first])
	store16(y[2:4], s.halves[1][first])
	packScales((*[12]byte)(y[4:]), (*[8]uint8)(s.rounded[0][first:]), (*[8]uint8)(s.rounded[1][first:]))
}
