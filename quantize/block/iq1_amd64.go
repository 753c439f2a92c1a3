//go:build amd64 && !purego

package block

import "github.com/moeconv/moeconv/gguf"

//go:generate go run -C _asm . -gen iq1 -out ../iq1_amd64.s -stubs ../iq1_stubs_amd64.go -pkg block

// iq1Form are the kernels of one form for runs of one length.
type iq1Form struct {
	weigh, plain weighRuns // under importance and without
	transpose    func(dst, src *float32, offsets *[16]int, n int)
	sort         func(s *float32) (bad int)
	divide       func(s *float32) (bad int)
	digits       func(s *float32)
	look         func(s *float32, words *uint32, trials int) (n int)
	search       func(s *float32, near *uint32, n int)
	refit        func(s *float32)
}

// iq1Codec encodes one type.
type iq1Codec struct {
	iq1Form
	t       gguf.Type
	form    form
	n       int      // weights of a run
	offsets *[16]int // of runs
	tiny    float32  // magnitude below which a run counts as zeros
	// redo fits a run by the portable form.
	redo func(s *runScratch, run int)
	// store writes a super-block whose first run is number first.
	store    func(y []byte, s *runScratch, t *words8, first int) (bad float32)
	portable func(y []byte, x, importance *[len256]float32) (bad float32)
}

var wordsIQ1 = wordsOf(gridIQ1)

func (c iq1Codec) accelerate(f form) {
	c.form, c.offsets = f, runOffsets(c.n)
	accelerate(c.t, f, kernels{encode: c.encode})
}

func (c *iq1Codec) encode(dst []byte, src, importance []float32) error {
	s := runScratches.Get().(*runScratch)
	defer runScratches.Put(s)
	t, size, per := wordsIQ1[c.form](), c.t.BlockSize(), 16*c.n
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
func (c *iq1Codec) fit(s *runScratch, t *words8, x, importance []float32) (ok bool) {
	p, runs := &s.v[0], len256/c.n
	for b := 0; b < len(x)/len256; b++ {
		xb := (*[len256]float32)(x[b*len256:])
		sigma2, weigh, w := meanSquareTwice(xb), c.weigh, (*float32)(nil)
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
	redo := c.sort(p)
	redo |= c.divide(p)
	c.digits(p)
	for i, top := range s.top {
		if top > float32(1e8*s.scale[i]) { // see noDigit in _asm/runs_search.go
			redo |= 1 << i
		}
	}
	if n := c.look(p, &t.word[0], 1); n > 0 {
		c.search(p, &t.near[0], n)
	}
	c.refit(p)
	for i := range s.split {
		switch {
		case s.top[i] < c.tiny:
			s.drop(i)
		case redo>>i&1 != 0:
			c.redo(s, i)
		case s.split[i] < 0:
			s.drop(i)
		}
	}
	return true
}

// drop makes a run one of zeros.
func (s *runScratch) drop(run int) {
	s.scale[run] = 0
	for k := range s.chosen {
		s.chosen[k][run], s.shifts[k][run] = 0, 0
	}
}
