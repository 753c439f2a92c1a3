//go:build amd64 && !purego

package block

import "github.com/moeconv/moeconv/gguf"

func init() {
	c := iq2Codec{t: gguf.IQ2_S, n: 16, trials: trialsIQ2(18), words: wordsIQ2_S, meanSquare: meanSquareTwice, tiny: tinyIQ2_S, store: storeIQ2_S, portable: blockIQ2_S}
	c.iq2Form = formIQ2of16[avx2]
	c.weigh, c.plain = weighSigned16AVX2, weighPlain16AVX2
	c.accelerate(avx2)
	c.iq2Form = formIQ2of16[avx512]
	c.weigh, c.plain = weighSigned16AVX512, weighPlain16AVX512
	c.search, c.words[avx512] = search16AVX2, c.words[avx2] // there are few neighbours
	c.accelerate(avx512)
}

var wordsIQ2_S = wordsOf(gridIQ2_S)

func storeIQ2_S(y []byte, s *runScratch, t *words8, _ int) (bad float32) {
	var l [16]uint8
	clear(y)
	for i := range s.scale {
		for k := range 2 {
			p := t.position(s.chosen[k][i])
			y[lowIQ2_S+2*i+k] = uint8(p)
			y[signsIQ2_S+2*i+k] = s.signs[2*i+k]
			y[highIQ2_S+i/2] |= uint8(p>>8) << (i%2*4 + 2*k)
		}
	}
	if greatest(s.scale[:]) == 0 {
		return 0
	}
	d := scalesIQ2(l[:], s.scale[:])
	packRunScales(y[scalesIQ2_S:], &l)
	_, bad = storeScale(y, float32(d*0.9875))
	return bad
}
