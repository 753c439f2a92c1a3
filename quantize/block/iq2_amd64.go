//go:build amd64 && !purego

package block

import "github.com/moeconv/moeconv/gguf"

//go:generate go run -C _asm . -gen iq2 -out ../iq2_amd64.s -stubs ../iq2_stubs_amd64.go -pkg block

// iq2Form are the kernels of one form for runs of one length.
type iq2Form struct {
	weigh, plain weighRuns // under importance and without
	transpose    func(dst, src *float32, offsets *[16]int, n int)
	scale        func(s *float32) // nil where tops need no scale found before
	tops         func(s *float32) (bad int)
	tries        func(s, factors *float32, trials int)
	codes        func(s *float32, trials int)
	look         func(s *float32, words *uint32, trials int) (n int)
	search       func(s *float32, near *uint32, n int)
	fill         func(s *float32, trials int) (n int)
	choose       func(s *float32, trials int)
	refine       func(s *float32) (bad int)
}

// iq2Codec encodes one type.
type iq2Codec struct {
	iq2Form
	t          gguf.Type
	form       form
	n          int // weights of a run
	trials     []float32
	offsets    *[16]int // of runs
	words      [forms]func() *words8
	meanSquare func(x *[len256]float32) float32
	tiny       float32 // magnitude below which a run counts as zeros
	// store writes a super-block whose first run is number first.
	store    func(y []byte, s *runScratch, t *words8, first int) (bad float32)
	portable func(y []byte, x, importance *[len256]float32) (bad float32)
}

// trialsIQ2 are the factors of n+1 trials around 5.
func trialsIQ2(n int) []float32 {
	out := make([]float32, 0, n+1)
	for is := -n / 2; is <= n/2; is++ {
		out = append(out, 5+float32(0.1*float32(is)))
	}
	return out
}

func (c iq2Codec) accelerate(f form) {
	c.form, c.offsets = f, runOffsets(c.n)
	accelerate(c.t, f, kernels{encode: c.encode})
}

func (c *iq2Codec) encode(dst []byte, src, importance []float32) error {
	s := runScratches.Get().(*runScratch)
	defer runScratches.Put(s)
	t, size, per := c.words[c.form](), c.t.BlockSize(), 16*c.n
	for at := 0; at < len(src); at += per {
		x := src[at:min(at+per, len(src))]
		var w []float32
		if importance != nil {
			w = importance[at : at+len(x)]
		}
		ok := c.fit(s, t, x, w)
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
				return badScale(c.t, xb[:], at+b*len256, bad)
			}
		}
	}
	return nil
}

// fit fits up to 16 runs. It is not ok where the portable form must do it.
func (c *iq2Codec) fit(s *runScratch, t *words8, x, importance []float32) (ok bool) {
	p, runs := &s.v[0], len256/c.n
	for b := 0; b < len(x)/len256; b++ {
		xb := (*[len256]float32)(x[b*len256:])
		sigma2, weigh, w := c.meanSquare(xb), c.weigh, (*float32)(nil)
		if importance == nil {
			weigh = c.plain
		} else {
			w = &importance[b*len256]
		}
		if sigma2-sigma2 != 0 || weigh(p, &xb[0], w, b*runs, runs, sigma2) != 0 {
			return false
		}
	}
	c.transpose(&s.lanes[0][0], &s.v[0], c.offsets, c.n)
	c.transpose(&s.lanes[0][16], &s.w[0], c.offsets, c.n)
	if c.scale != nil {
		c.scale(p)
	}
	if c.tops(p) != 0 {
		return false
	}
	trials := len(c.trials)
	c.tries(p, &c.trials[0], trials)
	c.round(s, t, trials)
	c.choose(p, trials)
	c.round(s, t, 1)
	if c.refine(p) != 0 {
		return false
	}
	c.finish(s)
	return true
}

// round finds the points of all runs at the inverse scales of the first trials.
func (c *iq2Codec) round(s *runScratch, t *words8, trials int) {
	p := &s.v[0]
	c.codes(p, trials)
	if n := c.look(p, &t.word[0], trials); n > 0 {
		c.search(p, &t.near[0], n)
	}
	if trials > 2 {
		if n := c.fill(p, trials); n > 0 {
			c.search(p, &t.near[0], n)
		}
	}
}

// finish drops runs of zeros and turns negative scales round.
func (c *iq2Codec) finish(s *runScratch) {
	groups := c.n / 8
	for i, top := range s.top {
		zero, negative := top < c.tiny || top <= 0, s.scale[i] < 0
		if !zero && !negative {
			continue
		}
		for k := range groups {
			if zero {
				s.chosen[k][i], s.signs[groups*i+k] = 0, 0
			} else {
				s.signs[groups*i+k] ^= 255
			}
		}
		s.scale[i] = -s.scale[i]
		if zero {
			s.scale[i] = 0
		}
	}
}
