//go:build amd64 && !purego

package block

import (
	"sync"

	"github.com/moeconv/moeconv/gguf"
)

//go:generate go run -C _asm . -gen search_min -out ../search_min_amd64.s -stubs ../search_min_stubs_amd64.go -pkg block
//go:generate go run -C _asm . -gen transpose -out ../transpose_amd64.s -stubs ../transpose_stubs_amd64.go -pkg block
//go:generate go run -C _asm . -gen round_scales -out ../round_scales_amd64.s -stubs ../round_scales_stubs_amd64.go -pkg block
//go:generate go run -C _asm . -gen requant -out ../requant_amd64.s -stubs ../requant_stubs_amd64.go -pkg block

// searchBuffer holds up to 32 groups side by side: element i of group g at [i][g]. Groups of 16 use half of it.
type searchBuffer struct {
	x, w   [32][32]float32 // elements and weights; of these the importance when the search begins
	_      [41][32]float32 // quants, and values that the search keeps
	sigma2 [32]float32     // of the weights under importance
}

// minFits are the fits of up to 256 groups.
type minFits struct {
	scale, min [256]float32
	_, _       [256]float32   // inverse and at, as in minFit
	sum        [256]float32   // of the weights
	d, m       [256]float32   // scale and min under the super-blocks' rounded scales
	flags      [32]uint8      // bits of groups that the portable form must do
	half       [2][256]uint16 // the super-blocks' scales, those of scales and those of mins
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

// minForm are the kernels of one form for a type.
type minForm struct {
	transpose       func(dst, src *float32, offsets *[16]int, n int)
	plain, weighted func(b, f *float32, first, lanes int, t *float32) // searches
	roundScales     func(f *float32, n int)
	requant         func(dst *byte, src, f *float32, n int)
}

// minCodec encodes a type of super-blocks with scales and mins.
type minCodec struct {
	minForm
	t               gguf.Type
	n               int // elements of a group
	plain, weighted minSearch
	meanSquare      func(x *[len256]float32) float32
	scaleTop        int // the largest scale
	head            func(y []byte, s *minScratch, first int)
	portable        func(y []byte, x, importance *[len256]float32) (bad float32)
}

type minScratch struct {
	searchBuffer
	minFits
}

var minScratches = sync.Pool{New: func() any { return new(minScratch) }}

// accelerateMin gives a codec the kernels of a form.
func accelerateMin(f form, c minCodec) {
	plain, weighted := c.plain.trials(), c.weighted.trials()
	accelerate(c.t, f, kernels{encode: func(dst []byte, src, importance []float32) error {
		s := minScratches.Get().(*minScratch)
		defer minScratches.Put(s)
		size, per := c.t.BlockSize(), 256/(len256/c.n)
		for at := 0; at < len(src); at += per * len256 {
			end := min(at+per*len256, len(src))
			x, y := src[at:end], dst[at/len256*size:end/len256*size]
			var w []float32
			if importance == nil {
				c.fit(s, x, nil, plain, c.minForm.plain)
				c.roundScales(&s.scale[0], len(x)/c.n)
			} else {
				w = importance[at:end]
				c.fit(s, x, w, weighted, c.minForm.weighted)
				c.fitScales(s, len(x)/len256)
			}
			c.requant(&y[0], &x[0], &s.scale[0], len(x)/len256)
			if err := c.finish(s, y, x, w, at); err != nil {
				return err
			}
		}
		return nil
	}})
}

// fit fits the groups of up to 256 groups' elements.
func (c *minCodec) fit(s *minScratch, x, importance []float32, t *minTrials, search func(b, f *float32, first, lanes int, t *float32)) {
	clear(s.flags[:])
	groups := len(x) / c.n
	var offsets [16]int
	for first := 0; first < groups; first += 32 {
		lanes := min(32, groups-first)
		for half := 0; half < lanes; half += 16 {
			for i := range offsets {
				offsets[i] = 4 * c.n * min(i, lanes-half-1)
			}
			at := c.n * (first + half)
			c.transpose(&s.x[0][half], &x[at], &offsets, c.n)
			if importance != nil {
				c.transpose(&s.w[0][half], &importance[at], &offsets, c.n)
			}
		}
		if importance != nil {
			per := len256 / c.n
			for g := 0; g < lanes; g += per {
				sigma2 := c.meanSquare((*[len256]float32)(x[c.n*(first+g):]))
				for i := range per {
					s.sigma2[g+i] = sigma2
				}
				if sigma2-sigma2 != 0 {
					s.flags[(first+g)/8] = 1
				}
			}
		}
		search(&s.x[0][0], &s.scale[0], first, lanes, &t.top)
	}
}

// fitScales rounds scales and mins under importance.
func (c *minCodec) fitScales(s *minScratch, blocks int) {
	per := len256 / c.n
	for b := range blocks {
		first := per * b
		for i, v := range [][]float32{s.scale[first : first+per], s.min[first : first+per]} {
			q := s.rounded[i][first : first+per]
			h := F32ToF16(fitScales(q, v, s.sum[first:first+per], c.scaleTop))
			s.half[i][first] = h
			common := F16ToF32(h)
			out := [][]float32{s.d[first : first+per], s.m[first : first+per]}[i]
			for g, l := range q {
				out[g] = float32(common * float32(l))
				if int(l) > c.scaleTop {
					s.flags[first/8] = 1
				}
			}
			if !finite16(h) {
				s.flags[first/8] = 1
			}
		}
	}
}

// finish writes the heads of super-blocks, and does those that were flagged.
func (c *minCodec) finish(s *minScratch, y []byte, x, importance []float32, column int) error {
	size, per := c.t.BlockSize(), len256/c.n
	for b := range len(x) / len256 {
		flags := s.flags[per/8*b : per/8*(b+1)]
		if flags[0]|flags[len(flags)-1] == 0 {
			c.head(y[b*size:(b+1)*size], s, per*b)
			continue
		}
		xb := (*[len256]float32)(x[b*len256:])
		var w *[len256]float32
		if importance != nil {
			w = (*[len256]float32)(importance[b*len256:])
		}
		if bad := c.portable(y[b*size:(b+1)*size], xb, w); bad != 0 {
			return badScale(c.t, xb[:], column+b*len256, bad)
		}
	}
	return nil
}
