//go:build amd64 && !purego

package block

import "github.com/moeconv/moeconv/gguf"

func init() {
	c := iq2Codec{t: gguf.IQ2_XS, n: 16, trials: trialsIQ2(18), words: wordsIQ2_XS, meanSquare: meanSquareOnce, tiny: tinyGroup, store: storeIQ2_XS, portable: blockIQ2_XS}
	c.iq2Form = formIQ2of16[avx2]
	c.weigh = weighEven16AVX2
	c.accelerate(avx2)
	c.iq2Form = formIQ2of16[avx512]
	c.weigh = weighEven16AVX512
	c.accelerate(avx512)
}

// formIQ2of16 are the kernels of IQ2_XS and IQ2_S, but for the weighing.
var formIQ2of16 = [forms]iq2Form{
	avx2:   {nil, nil, transposeAVX2, nil, tops16AVX2, triesIQ2AVX2, codes16AVX2, look16, search16AVX2, fill16, choose16AVX2, refine16AVX2},
	avx512: {nil, nil, transposeAVX512, nil, tops16AVX512, triesIQ2AVX512, codes16AVX512, look16, search16AVX512, fill16, choose16AVX512, refine16AVX512},
}

var wordsIQ2_XS = wordsOf(gridIQ2_XS)

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
