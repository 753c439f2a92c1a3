//go:build amd64 && !purego

package block

import "github.com/moeconv/moeconv/gguf"

func init() {
	c := runCodec{t: gguf.IQ1_M, n: 16, words: wordsIQ1, twice: true, store: storeIQ1_M, portable: blockIQ1_M}
	f := iq1Fit{tiny: tinyIQ1_M, redo: redoIQ1_M}
	f.iq1Form = iq1Form{sort16AVX2, divide16AVX2, digits16AVX2, look16, searchShifted16AVX2, refit16AVX2}
	c.weigh, c.plain, c.transpose, c.fit = weighValues16AVX2, weighSquares16AVX2, transposeAVX2, f.fit
	c.accelerate(avx2)
	f.iq1Form = iq1Form{sort16AVX512, divide16AVX512, digits16AVX512, look16, searchShifted16AVX512, refit16AVX512}
	c.weigh, c.plain, c.transpose, c.fit = weighValues16AVX512, weighSquares16AVX512, transposeAVX512, f.fit
	c.accelerate(avx512)
}

func redoIQ1_M(s *runScratch, run int) {
	var points [2]int
	scale, shift := fitIQ1_M(&points, (*[16]float32)(s.v[16*run:]), (*[16]float32)(s.w[16*run:]))
	s.scale[run] = scale
	for k, p := range points {
		s.chosen[k][run], s.shifts[k][run] = wordOf(gridIQ1().digits[p]), uint32(shift>>(1-k)&1)<<4
	}
}

func storeIQ1_M(y []byte, s *runScratch, t *words8, _ int) (bad float32) {
	var (
		shifts [16]int
		points [32]int
	)
	clear(y)
	for i := range shifts {
		shifts[i] = int(s.shifts[0][i]>>3 | s.shifts[1][i]>>4)
		for k := range 2 {
			points[2*i+k] = t.position(s.chosen[k][i])
		}
	}
	for k, p := range points {
		y[k] = uint8(p)
		y[highIQ1_M+k/2] |= uint8(p>>8) << (k % 2 * 4)
	}
	if greatest(s.scale[:]) == 0 {
		return 0
	}
	return scaleIQ1_M(y, (*[len256]float32)(s.v[:]), (*[len256]float32)(s.w[:]), &s.scale, &shifts, &points)
}
