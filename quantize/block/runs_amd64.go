//go:build amd64 && !purego

package block

import "sync"

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
}

var runScratches = sync.Pool{New: func() any { return new(runScratch) }}

// runOffsets are the places of runs of n weights.
func runOffsets(n int) *[16]int {
	offsets := new([16]int)
	for i := range offsets {
		offsets[i] = 4 * n * i
	}
	return offsets
}

// weighRuns computes values, signs and weights of runs from the first; bad is not 0 where errors may overflow.
type weighRuns = func(s, x, importance *float32, first, runs int, sigma2 float32) (bad int)
