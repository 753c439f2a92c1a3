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
	columns [16]int // byte offsets of groups' importance
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
	e := c.in(f)
	accelerate(c.t, f.form, kernels{encode: e.encode, rows: e.rows})
}

// encode encodes one row.
func (e *minEncoder) encode(dst []byte, src, importance []float32) error {
	return e.rows(dst, src, len(src), importance)
}

// rows encodes rows of ne0, up to 256 groups at a time.
func (e *minEncoder) rows(dst []byte, src []float32, ne0 int, importance []float32) error {
	s := minScratches.Get().(*minScratch)
	defer minScratches.Put(s)
	size := e.t.BlockSize()
	for at := 0; at < len(src); at += 256 * e.n {
		end := min(at+256*e.n, len(src))
		x, y := src[at:end], dst[at/len256*size:end/len256*size]
		clear(s.flags[:])
		if importance == nil {
			e.fit(s, x)
			e.roundScales(&s.scale[0], len(x)/e.n)
		} else {
			e.fitWeighted(s, x, importance, at%ne0)
			e.fitScales(s, len(x)/len256)
		}
		e.requant(&y[0], &x[0], &s.scale[0], len(x)/len256)
		if err := e.finish(s, y, x, importance, at, ne0); err != nil {
			return err
		}
	}
	return nil
}

// groups are the groups of a super-block.
func (e *minEncoder) groups() int { return len256 / e.n }

// fit fits the groups of x.
func (e *minEncoder) fit(s *minScratch, x []float32) {
	groups := len(x) / e.n
	for first := 0; first < groups; first += 32 {
		e.load(s, x, first)
		e.minForm.plain(&s.x[0][0], &s.scale[0], first, min(32, groups-first), &e.plain.top)
	}
}

// load puts up to 32 groups side by side.
func (e *minEncoder) load(s *minScratch, x []float32, first int) {
	for half := first; half < min(first+32, len(x)/e.n); half += 16 {
		e.transpose(&s.x[0][half-first], &x[e.n*half], e.elements[min(16, len(x)/e.n-half)], e.n)
	}
}

// fitWeighted is fit under the importance of columns, the first of which is that of x.
func (e *minEncoder) fitWeighted(s *minScratch, x, importance []float32, column int) {
	var sigma2 [len(s.flags)]float32
	runSums(sigma2[:], x, len256, e.form == avx512)
	for b, sum := range sigma2 {
		sigma2[b] = float32(e.variance*sum) / len256
	}
	groups := len(x) / e.n
	for first := 0; first < groups; first += 32 {
		e.load(s, x, first)
		for g := 0; g < 32; g += 8 {
			v := sigma2[min((first+g)*e.n, len(x)-1)/len256]
			*(*[8]float32)(s.sigma2[g:]) = [8]float32{v, v, v, v, v, v, v, v}
		}
		for half := 0; half < 32; half += 16 {
			for g := range s.columns {
				s.columns[g] = 4 * column
				if column += e.n; column == len(importance) {
					column = 0
				}
			}
			e.transpose(&s.w[0][half], &importance[0], &s.columns, e.n)
		}
		e.minForm.weighted(&s.x[0][0], &s.scale[0], first, min(32, groups-first), &e.weighted.top)
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

// finish writes the heads of super-blocks, and does those that were flagged. x is at src[at:].
func (e *minEncoder) finish(s *minScratch, y []byte, x, importance []float32, at, ne0 int) error {
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
			w = (*[len256]float32)(importance[(at+b*len256)%ne0:])
		}
		if bad := e.portable(y[b*size:(b+1)*size], xb, w); bad != 0 {
			return errLeft
		}
	}
	return nil
}
