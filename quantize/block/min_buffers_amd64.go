//go:build amd64 && !purego

package block

// searchBuffer holds up to 32 groups side by side: element i of group g at [i][g]. Groups of 16 use half of it.
// fitScales has the scales of 16 super-blocks there, then the mins.
type searchBuffer struct {
	x, w   [32][32]float32 // elements and weights; of these the importance when the search begins
	_      [9][32]float32  // values that the search keeps
	sigma2 [32]float32     // of the weights under importance
	_      [32]float32     // common scales that fitScales finds,
	half   [2][32]uint16   // these as halves, 16 of each,
	bits   [2][32]uint16   // and super-blocks that the portable form must do
	_      [17][32]float32
	_      [32][32]float32 // quants
}

// minFits are the fits of up to 256 groups.
type minFits struct {
	scale, min [256]float32
	inverse    [256]float32   // as in minFit,
	at         [256]float32   // too
	sum        [256]float32   // of the weights
	d, _       [256]float32   // scale and min under the super-blocks' rounded scales
	flags      [32]uint8      // bits of groups that the portable form must do
	halves     [2][256]uint16 // the super-blocks' scales, those of scales and those of mins
	rounded    [2][256]uint8  // scales and mins
}

// minTrials are a search's trials: inverse scales times max-min.
type minTrials struct {
	top           float32
	steps, inside int32 // those that cannot round beyond top come first
	inverse       [40]float32
}

func (s *minSearch) trials() *minTrials {
	t := &minTrials{top: s.n, steps: int32(s.steps + 1)}
	for is := range s.steps + 1 {
		off := s.from + float32(s.delta*float32(is))
		t.inverse[is] = off + s.n
		if off < 0.49 {
			t.inside++
		}
	}
	return t
}

// scaleTrials are those of fitScales: inverse scales times the largest value.
type scaleTrials struct {
	top     float32
	inverse [8]float32
}

func newScaleTrials(top float32) *scaleTrials {
	t := &scaleTrials{top: top}
	for i := range t.inverse {
		t.inverse[i] = float32(0.1*float32(i-4+i/4)) + top // without 0, which comes first
	}
	return t
}
