//go:build amd64 && !purego

package block

import "github.com/moeconv/moeconv/gguf"

func init() {
	c := runCodec{t: gguf.IQ1_S, n: 32, words: wordsIQ1, twice: true, store: storeIQ1_S, portable: blockIQ1_S}
	f := iq1Fit{tiny: tinyIQ1_S, redo: redoIQ1_S}
	f.iq1Form = iq1Form{sort32AVX2, divide32AVX2, digits32AVX2, look32, searchShifted32AVX2, refit32AVX2}
	c.weigh, c.transpose, c.fit = weighValues32AVX2, transposeAVX2, f.fit
	c.accelerate(avx2)
	f.iq1Form = iq1Form{sort32AVX512, divide32AVX512, digits32AVX512, look32, searchShifted32AVX512, refit32AVX512}
	c.weigh, c.transpose, c.fit = weighValues32AVX512, transposeAVX512, f.fit
	c.accelerate(avx512)
}

func redoIQ1_S(s *runScratch, run int) {
	var points [4]int
	scale, down := fitIQ1_S(&points, (*[32]float32)(s.v[32*run:]), (*[32]float32)(s.w[32*run:]))
	s.scale[run] = scale
	for k, p := range points {
		s.chosen[k][run], s.shifts[k][run] = wordOf(gridIQ1().digits[p]), 0
		if down {
			s.shifts[k][run] = 16
		}
	}
}

func storeIQ1_S(y []byte, s *runScratch, t *words8, first int) (bad float32) {
	var l [8]uint8
	clear(y)
	scales := s.scale[first : first+8]
	d := scalesIQ1(l[:], scales)
	zero := greatest(scales) == 0
	for i := range scales {
		var h uint16
		for k := range 4 {
			p := t.position(s.chosen[k][first+i])
			y[2+4*i+k] = uint8(p)
			h |= uint16(p>>8) << (3 * k)
		}
		if !zero {
			h |= uint16(l[i])<<12 | uint16(s.shifts[0][first+i]>>4)<<15
		}
		store16(y[highIQ1_S+2*i:], h)
	}
	if zero {
		return 0
	}
	_, bad = storeScale(y, float32(d*1.125))
	return bad
}
