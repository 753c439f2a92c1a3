//go:build amd64 && !purego

package block

import "github.com/moeconv/moeconv/gguf"

func init() {
	c := runCodec{t: gguf.IQ2_S, n: 16, words: wordsOf(gridIQ2_S), twice: true, store: storeIQ2_S, portable: blockIQ2_S}
	f := iq2Fit{groups: 2, trials: trialsIQ2(18), tiny: tinyIQ2_S}
	f.iq2Form = formIQ2of16[avx2]
	c.weigh, c.plain, c.transpose, c.fit = weighSigned16AVX2, weighPlain16AVX2, transposeAVX2, f.fit
	c.accelerate(avx2)
	f.iq2Form = formIQ2of16[avx512]
	f.search, c.words[avx512] = search16AVX2, c.words[avx2] // there are few neighbours
	c.weigh, c.plain, c.transpose, c.fit = weighSigned16AVX512, weighPlain16AVX512, transposeAVX512, f.fit
	c.accelerate(avx512)
}

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
