//go:build amd64 && !purego

package block

import (
	"math/bits"

	"github.com/moeconv/moeconv/gguf"
)

//go:generate go run -C _asm . -gen weighted32 -out ../weighted32_amd64.s -stubs ../weighted32_stubs_amd64.go -pkg block

func init() {
	finish := map[gguf.Type][forms]func(dst *byte, x, scale, inverse *float32, blocks int) uint{
		gguf.Q4_0: {avx2: finishQ4_0AVX2, avx512: finishQ4_0AVX512},
		gguf.Q5_0: {avx2: finishQ5_0AVX2, avx512: finishQ5_0AVX512},
	}
	finishMin := map[gguf.Type][forms]func(dst *byte, x, scale, inverse, min, at *float32, blocks int) uint{
		gguf.Q4_1: {avx2: finishQ4_1AVX2, avx512: finishQ4_1AVX512},
		gguf.Q5_1: {avx2: finishQ5_1AVX2, avx512: finishQ5_1AVX512},
	}
	for f := avx2; f <= avx512; f++ {
		fit, wide, transpose, search := fitSignedAVX2, false, transposeAVX2, searchWeighted32AVX2
		if f == avx512 {
			fit, wide, transpose, search = fitSignedAVX512, true, transposeAVX512, searchWeighted32AVX512
		}
		accelerate(gguf.Q4_0, f, kernels{rows: weighted32{gguf.Q4_0, weightedQ4_0, wide, signed32{newSignedTrials(8), fit, finish[gguf.Q4_0][f]}.encode}.rows})
		accelerate(gguf.Q5_0, f, kernels{rows: weighted32{gguf.Q5_0, weightedQ5_0, wide, signed32{newSignedTrials(16), fit, finish[gguf.Q5_0][f]}.encode}.rows})
		accelerate(gguf.Q4_1, f, kernels{rows: weighted32{gguf.Q4_1, weightedQ4_1, wide, min32{searchQ4_1.trials(), transpose, search, finishMin[gguf.Q4_1][f]}.encode}.rows})
		accelerate(gguf.Q5_1, f, kernels{rows: weighted32{gguf.Q5_1, weightedQ5_1, wide, min32{searchQ5_1.trials(), transpose, search, finishMin[gguf.Q5_1][f]}.encode}.rows})
	}
}

// weighted32 encodes a type of blocks of 32 under importance.
type weighted32 struct {
	t        gguf.Type
	portable func(y []byte, x, w *[len32]float32) (bad float32)
	wide     bool
	// encode encodes up to 32 blocks, with the weights w*sqrt(sigma2+x*x), and returns a bit for each that it leaves.
	encode func(y []byte, x, w []float32, sigma2 float32) (left uint)
}

// rows finds the mean squares of 16 rows at once, as a row's are added one by one.
func (c weighted32) rows(dst []byte, src []float32, ne0 int, importance []float32) error {
	const together = 16
	size := ne0 / len32 * c.t.BlockSize()
	var sums [together]float32
	for first := 0; first*ne0 < len(src); first += together {
		some := src[first*ne0 : min((first+together)*ne0, len(src))]
		runSums(sums[:len(some)/ne0], some, ne0, c.wide)
		for i := range len(some) / ne0 {
			r := first + i
			if err := c.row(dst[r*size:(r+1)*size], some[i*ne0:(i+1)*ne0], importance, sums[i]/float32(ne0)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c weighted32) row(dst []byte, src, importance []float32, sigma2 float32) error {
	if sigma2-sigma2 != 0 { // no block of the row would be encoded
		return errLeft
	}
	const together = 32 * len32
	size := c.t.BlockSize()
	for at := 0; at < len(src); at += together {
		end := min(at+together, len(src))
		y, x, w := dst[at/len32*size:end/len32*size], src[at:end], importance[at:end]
		left := c.encode(y, x, w, sigma2) & (1<<(len(x)/len32) - 1)
		for ; left != 0; left &= left - 1 {
			b := bits.TrailingZeros(left)
			var weights [len32]float32
			xb := (*[len32]float32)(x[b*len32:])
			weigh(weights[:], xb[:], w[b*len32:(b+1)*len32], sigma2)
			if bad := c.portable(y[b*size:(b+1)*size], xb, &weights); bad != 0 {
				return errLeft
			}
		}
	}
	return nil
}

// signed32 are the kernels of a type with scales alone.
type signed32 struct {
	trials *signedTrials
	fit    func(groups, trials *float32, chunks int)
	finish func(dst *byte, x, scale, inverse *float32, blocks int) uint
}

func (k signed32) encode(y []byte, x, w []float32, sigma2 float32) (left uint) {
	s := signedScratches.Get().(*signedGroups)
	defer signedScratches.Put(s)
	g, size := &s.x[0][0], len(y)/(len(x)/len32)
	for first := 0; first < len(x)/len32; first += 16 {
		blocks, at := min(16, len(x)/len32-first), first*len32
		loadImportant(g, &x[at], &w[at], strided(4*len32, blocks), len32, sigma2)
		k.fit(g, &k.trials[0], len32/16)
		left |= k.finish(&y[first*size], &x[at], &s.scale[0], &s.inverse[0], blocks) << first
	}
	return left
}

// min32 are the kernels of a type with scales and mins.
type min32 struct {
	trials    *minTrials
	transpose func(dst, src *float32, offsets *[16]int, n int)
	search    func(b, f *float32, first, lanes int, t *float32)
	finish    func(dst *byte, x, scale, inverse, min, at *float32, blocks int) uint
}

func (k min32) encode(y []byte, x, w []float32, sigma2 float32) (left uint) {
	s := minScratches.Get().(*minScratch)
	defer minScratches.Put(s)
	blocks, size := len(x)/len32, len(y)/(len(x)/len32)
	for first := 0; first < blocks; first += 16 {
		offsets, at := strided(4*len32, min(16, blocks-first)), first*len32
		k.transpose(&s.x[0][first], &x[at], offsets, len32)
		k.transpose(&s.w[0][first], &w[at], offsets, len32)
	}
	for g := range blocks {
		s.sigma2[g] = sigma2
	}
	clear(s.flags[:4])
	k.search(&s.x[0][0], &s.scale[0], 0, blocks, &k.trials.top)
	for first := 0; first < blocks; first += 16 {
		n := min(16, blocks-first)
		left |= k.finish(&y[first*size], &x[first*len32], &s.scale[first], &s.inverse[first], &s.min[first], &s.at[first], n) << first
		left |= uint(s.flags[first/8])<<first | uint(s.flags[first/8+1])<<(first+8)
	}
	return left
}
