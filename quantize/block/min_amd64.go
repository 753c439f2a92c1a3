//go:build amd64 && !purego

package block

import (
	"sync"

	"github.com/moeconv/moeconv/gguf"
)

//go:generate go run -C _asm . -gen search_min -out ../search_min_amd64.s -stubs ../search_min_stubs_amd64.go -pkg block
//go:generate go run -C _asm . -gen transpose -out ../transpose_amd64.s -stubs ../transpose_stubs_amd64.go -pkg block
//go:generate go run -C _asm . -gen round_scales -out ../round_scales_amd64.s -stubs ../round_scales_stubs_amd64.go -pkg block
//go:generate go run -C _asm . -gen fit_scales -out ../fit_scales_amd64.s -stubs ../fit_scales_stubs_amd64.go -pkg block
//go:generate go run -C _asm . -gen requant -out ../requant_amd64.s -stubs ../requant_stubs_amd64.go -pkg block

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

// minForm are the kernels of one form for a type.
type minForm struct {
	form            form
	transpose       func(dst, src *float32, offsets *[16]int, n int)
	plain, weighted func(b, f *float32, first, lanes int, t *float32) // searches
	roundScales     func(f *float32, n int)
	fitScales       func(b *float32, blocks, n int, t *float32)
	spreadScales    func(b, f *float32, first, blocks int)
	requant         func(dst *byte, src, f *float32, n int)
}

// minCodec encodes a type of super-blocks with scales and mins.
type minCodec struct {
	t               gguf.Type
	n               int // elements of a group
	plain, weighted minSearch
	variance        float32 // sigma2 of the weights under importance, as a multiple of the mean square
	scaleTop        float32 // the largest scale
	head            func(y []byte, s *minScratch, first int)
	portable        func(y []byte, x, importance *[len256]float32) (bad float32)
}

type minScratch struct {
	searchBuffer
	minFits
}

var minScratches = sync.Pool{New: func() any { return new(minScratch) }}

// minEncoder is a codec in one form.
type minEncoder struct {
	minCodec
	minForm
	plain, weighted *minTrials
	scales          *scaleTrials
	elements, fits  [17]*[16]int // byte offsets of so many groups, and of super-blocks' fits
}

// in makes the encoder of a form.
func (c minCodec) in(f minForm) *minEncoder {
	e := &minEncoder{minCodec: c, minForm: f, plain: c.plain.trials(), weighted: c.weighted.trials(), scales: newScaleTrials(c.scaleTop)}
	for n := range e.elements {
		e.elements[n], e.fits[n] = strided(4*c.n, n), strided(4*len256/c.n, n)
	}
	return e
}

// accelerate gives a codec the kernels of a form.
func (c minCodec) accelerate(f minForm) {
	accelerate(c.t, f.form, kernels{encode: c.in(f).encode})
}

// encode works on up to 256 groups at a time.
func (e *minEncoder) encode(dst []byte, src, importance []float32) error {
	s := minScratches.Get().(*minScratch)
	defer minScratches.Put(s)
	size := e.t.BlockSize()
	for at := 0; at < len(src); at += 256 * e.n {
		end := min(at+256*e.n, len(src))
		x, y := src[at:end], dst[at/len256*size:end/len256*size]
		var w []float32
		clear(s.flags[:])
		if importance == nil {
			e.fit(s, x, nil)
			e.roundScales(&s.scale[0], len(x)/e.n)
		} else {
			w = importance[at:end]
			e.fit(s, x, w)
			e.fitScales(s, len(x)/len256)
		}
		e.requant(&y[0], &x[0], &s.scale[0], len(x)/len256)
		if err := e.finish(s, y, x, w, at); err != nil {
			return err
		}
	}
	return nil
}

// groups are the groups of a super-block.
func (e *minEncoder) groups() int { return len256 / e.n }

// fit fits the groups of x.
func (e *minEncoder) fit(s *minScratch, x, importance []float32) {
	search, trials := e.minForm.plain, e.plain
	var sigma2 [len(s.flags)]float32
	if importance != nil {
		search, trials = e.minForm.weighted, e.weighted
		runSums(sigma2[:], x, len256, e.form == avx512)
		for b, sum := range sigma2 {
			sigma2[b] = float32(e.variance*sum) / len256
		}
	}
	groups := len(x) / e.n
	for first := 0; first < groups; first += 32 {
		lanes := min(32, groups-first)
		for half := 0; half < lanes; half += 16 {
			at, offsets := e.n*(first+half), e.elements[min(16, lanes-half)]
			e.transpose(&s.x[0][half], &x[at], offsets, e.n)
			if importance != nil {
				e.transpose(&s.w[0][half], &importance[at], offsets, e.n)
			}
		}
		if importance != nil {
			for g := 0; g < lanes; g += 8 {
				v := sigma2[(first+g)*e.n/len256]
				*(*[8]float32)(s.sigma2[g:]) = [8]float32{v, v, v, v, v, v, v, v}
			}
		}
		search(&s.x[0][0], &s.scale[0], first, lanes, &trials.top)
	}
	for b, v := range sigma2 {
		if v-v != 0 {
			s.flags[e.groups()/8*b] |= 1
		}
	}
}

// fitScales rounds scales and mins under importance.
func (e *minEncoder) fitScales(s *minScratch, blocks int) {
	n := e.groups()
	for b := 0; b < blocks; b += 16 {
		k, first := min(16, blocks-b), n*b
		offsets := e.fits[k]
		e.transpose(&s.x[0][0], &s.scale[first], offsets, n)
		e.transpose(&s.x[0][16], &s.min[first], offsets, n)
		e.transpose(&s.w[0][0], &s.sum[first], offsets, n)
		e.transpose(&s.w[0][16], &s.sum[first], offsets, n)
		e.minForm.fitScales(&s.x[0][0], k, n, &e.scales.top)
		e.spreadScales(&s.x[0][0], &s.scale[0], first, k)
		for i := range k {
			g := first + n*i
			s.halves[0][g], s.halves[1][g] = s.half[0][i], s.half[1][i]
			s.flags[g/8] |= uint8((s.bits[0][0] | s.bits[1][0]) >> i & 1)
		}
	}
}

// finish writes the heads of super-blocks, and does those that were flagged.
func (e *minEncoder) finish(s *minScratch, y []byte, x, importance []float32, column int) error {
	size, n := e.t.BlockSize(), e.groups()
	for b := range len(x) / len256 {
		flags := s.flags[n/8*b : n/8*(b+1)]
		if flags[0]|flags[len(flags)-1] == 0 {
			e.head(y[b*size:(b+1)*size], s, n*b)
			continue
		}
		xb := (*[len256]float32)(x[b*len256:])
		var w *[len256]float32
		if importance != nil {
			w = (*[len256]float32)(importance[b*len256:])
		}
		if bad := e.portable(y[b*size:(b+1)*size], xb, w); bad != 0 {
			return badScale(e.t, xb[:], column+b*len256, bad)
		}
	}
	return nil
}
