//go:build amd64 && !purego

package block

import "github.com/moeconv/moeconv/gguf"

func init() {
	c := runCodec{t: gguf.IQ2_XXS, n: 32, words: wordsOf(gridIQ2_XXS), store: storeIQ2_XXS, portable: blockIQ2_XXS}
	f := iq2Fit{groups: 4, trials: trialsIQ2(12)}
	f.iq2Form = iq2Form{scale32AVX2, tops32AVX2, triesIQ2AVX2, codes32AVX2, look32, search32AVX2, fill32, choose32AVX2, refine32AVX2}
	c.weigh, c.transpose, c.fit = weighEven32AVX2, transposeAVX2, f.fit
	c.accelerate(avx2)
	f.iq2Form = iq2Form{scale32AVX512, tops32AVX512, triesIQ2AVX512, codes32AVX512, look32, search32AVX512, fill32, choose32AVX512, refine32AVX512}
	c.weigh, c.transpose, c.fit = weighEven32AVX512, transposeAVX512, f.fit
	c.accelerate(avx512)
}

func storeIQ2_XXS(y []byte, s *runScratch, t *words8, first int) (bad float32) {
	var l [8]uint8
	clear(y)
	scales := s.scale[first : first+8]
	if greatest(scales) == 0 {
		return 0
	}
	d := scalesIQ2(l[:], scales)
	for i := range scales {
		signs := uint32(l[i]) << 28
		for k := range 4 {
			y[2+8*i+k] = uint8(t.position(s.chosen[k][first+i]))
			signs |= uint32(s.signs[4*(first+i)+k]&127) << (7 * k)
		}
		store32(y[2+8*i+4:], signs)
	}
	_, bad = storeScale(y, d)
	return bad
}
