//go:build amd64 && !purego

package block

import (
	"sync"

	"github.com/moeconv/moeconv/gguf"
)

//go:generate go run -C _asm . -gen runs_search -out ../runs_search_amd64.s -stubs ../runs_search_stubs_amd64.go -pkg block

// runScratch is what the kernels of the IQ2 and IQ1 encoders work on: 16 runs side by side, of 16 or 32 weights, hence of 2 or 4
// groups of 8. Arrays in the order of runs and groups are flat, since the number of groups differs.
type runScratch struct {
	v, w       [512]float32    // values, or magnitudes, and weights, run by run
	lanes      [32][32]float32 // element, then run: values, or products with the weights, in the first 16, weights in the others
	_          [64][64]float32 // by run and group: each value four times, each weight, or its root, four times
	_          [2][320]float32 // inverse scales and scales, by trial
	_          [20 * 64]uint16 // by trial, run and group: see look
	_          [20 * 64]uint16 // points before the search
	_          [20 * 64]uint32 // words
	_          [20 * 64]uint16 // indices of words to search
	scale, top [16]float32
	chosen     [4][16]uint32 // words, by group and run
	_          [16]float32   // largest magnitudes
	signs      [64]uint8     // by run and group
	shifts     [4][16]uint32 // by group and run: 0 for values shifted up, 16 down
	split      [16]int32     // best divisions, negative where no weight is positive
	_          [65][16]int32 // keys, unsorted and sorted
	_          [33 * 192]float32
	_          [64]float32
	_          [20][16]float32 // by trial: what the errors of a run must differ by
	_          [2][16]float32
	_          [3][64][16]float32 // of a batch of searches
	_          [64]float32
	squares    [16]float32 // mean squares of super-blocks
}

var runScratches = sync.Pool{New: func() any { return new(runScratch) }}

// weighRuns computes values, signs and weights of runs from the first; bad is not 0 where errors may overflow.
type weighRuns = func(s, x, importance *float32, first, runs int, sigma2 float32) (bad int)

// runCodec encodes a type by 16 runs of n weights at a time.
type runCodec struct {
	t            gguf.Type
	n            int
	weigh, plain weighRuns // under importance and without
	transpose    func(dst, src *float32, offsets *[16]int, n int)
	twice        bool // weights take twice the mean square of a super-block
	words        [forms]func() *words8
	// fit fits the runs. It is not ok where the portable form must do it.
	fit func(s *runScratch, t *words8) (ok bool)
	// store writes a super-block whose first run is number first.
	store    func(y []byte, s *runScratch, t *words8, first int) (bad float32)
	portable func(y []byte, x, importance *[len256]float32) (bad float32)

	form    form
	offsets [16]int // of runs
}

func (c runCodec) accelerate(f form) {
	c.form = f
	for i := range c.offsets {
		c.offsets[i] = 4 * c.n * i
	}
	accelerate(c.t, f, kernels{encode: c.encode})
}

func (c *runCodec) encode(dst []byte, src, importance []float32) error {
	s := runScratches.Get().(*runScratch)
	defer runScratches.Put(s)
	t, size, per := c.words[c.form](), c.t.BlockSize(), 16*c.n
	for at := 0; at < len(src); at += per {
		if at%(16*len256) == 0 {
			c.meanSquares(s, src[at:min(at+16*len256, len(src))])
		}
		x := src[at:min(at+per, len(src))]
		var w []float32
		if importance != nil {
			w = importance[at : at+len(x)]
		}
		ok := c.load(s, x, w, at/len256%16) && c.fit(s, t)
		for b := 0; b < len(x)/len256; b++ {
			xb, y := (*[len256]float32)(x[b*len256:]), dst[:size]
			dst = dst[size:]
			var bad float32
			switch {
			case ok:
				bad = c.store(y, s, t, b*len256/c.n)
			case w == nil:
				bad = c.portable(y, xb, nil)
			default:
				bad = c.portable(y, xb, (*[len256]float32)(w[b*len256:]))
			}
			if bad != 0 {
				return errLeft
			}
		}
	}
	return nil
}

// meanSquares finds those of up to 16 super-blocks.
func (c *runCodec) meanSquares(s *runScratch, x []float32) {
	blocks, done := len(x)/len256, 0
	switch {
	case c.form == avx512 && blocks == 16:
		sumSquaresAVX512(&s.squares[0], &x[0], len256, 1)
		done = 16
	case blocks >= 8:
		sumSquaresAVX2(&s.squares[0], &x[0], len256, blocks/8)
		done = blocks / 8 * 8
	}
	for b := done; b < blocks; b++ {
		s.squares[b] = meanSquare(x[b*len256:(b+1)*len256], 1)
	}
	for b, sum := range s.squares[:blocks] {
		if c.twice {
			sum = float32(2 * sum)
		}
		s.squares[b] = sum / len256
	}
}

// load weighs up to 16 runs; their super-blocks' mean squares begin with number first.
func (c *runCodec) load(s *runScratch, x, importance []float32, first int) (ok bool) {
	p, runs := &s.v[0], len256/c.n
	for b := 0; b < len(x)/len256; b++ {
		sigma2, weigh, w := s.squares[first+b], c.weigh, (*float32)(nil)
		if importance == nil {
			weigh = c.plain
		} else {
			w = &importance[b*len256]
		}
		if sigma2-sigma2 != 0 || weigh(p, &x[b*len256], w, b*runs, runs, sigma2) != 0 {
			return false
		}
	}
	c.transpose(&s.lanes[0][0], &s.v[0], &c.offsets, c.n)
	c.transpose(&s.lanes[0][16], &s.w[0], &c.offsets, c.n)
	return true
}
