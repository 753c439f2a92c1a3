//go:build amd64 && !purego

package block

import "github.com/moeconv/moeconv/gguf"

func init() {
	c := runCodec{t: gguf.IQ2_XS, n: 16, words: wordsOf(gridIQ2_XS), store: storeIQ2_XS, portable: blockIQ2_XS}
	f := iq2Fit{groups: 2, trials: trialsIQ2(18), tiny: tinyGroup}
	f.iq2Form = formIQ2of16[avx2]
	c.weigh, c.transpose, c.fit = weighEven16AVX2, transposeAVX2, f.fit
	c.accelerate(avx2)
	f.iq2Form = formIQ2of16[avx512]
	c.weigh, c.transpose, c.fit = weighEven16AVX512, transposeAVX512, f.fit
	c.accelerate(avx512)
}

// formIQ2of16 are the kernels of IQ2_XS and IQ2_S, but for the weighing.
var formIQ2of16 = [forms]iq2Form{
	avx2:   {nil, tops16AVX2, triesIQ2AVX2, codes16AVX2, look16, search16AVX2, fill16, choose16AVX2, refine16AVX2},
	avx512: {nil, tops16AVX512, triesIQ2AVX512, codes16AVX512, look16, search16AVX512, fill16, choose16AVX512, refine16AVX512},
}

func storeIQ2_XS(y []byte, s *runScratch, t *words8, _ int) (bad float32) {
	var l [16]uint8
	clear(y)
	if greatest(s.scale[:]) == 0 {
		return 0
	}
	for i := range s.scale {
		for k := range 2 {
			store16(y[2+4*i+2*k:], uint16(t.position(s.chosen[k][i]))|uint16(s.signs[2*i+k]&127)<<9)
		}
	}
	d := scalesIQ2(l[:], s.scale[:])
	packRunScales(y[scalesIQ2_XS:], &l)
	_, bad = storeScale(y, d)
	return bad
}
