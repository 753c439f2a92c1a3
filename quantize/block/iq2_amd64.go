//go:build amd64 && !purego

package block

//go:generate go run -C _asm . -gen iq2 -out ../iq2_amd64.s -stubs ../iq2_stubs_amd64.go -pkg block

// iq2Form are the kernels of one form for runs of one length.
type iq2Form struct {
	scale  func(s *float32) // nil where tops need no scale found before
	tops   func(s *float32) (bad int)
	tries  func(s, factors *float32, trials int)
	codes  func(s *float32, trials int)
	look   func(s *float32, words *uint32, trials int) (n int)
	search func(s *float32, near *uint32, n int)
	fill   func(s *float32, trials, mask int) (n int)
	choose func(s *float32, trials int)
	refine func(s *float32) (bad int)
}

// iq2Fit fits runs.
type iq2Fit struct {
	iq2Form
	groups int // of a run
	trials []float32
	tiny   float32 // magnitude below which a run counts as zeros
}

// trialsIQ2 are the factors of n+1 trials around 5.
func trialsIQ2(n int) []float32 {
	out := make([]float32, 0, n+1)
	for is := -n / 2; is <= n/2; is++ {
		out = append(out, 5+float32(0.1*float32(is)))
	}
	return out
}

func (c iq2Fit) fit(s *runScratch, t *words8) (ok bool) {
	p := &s.v[0]
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
func (c *iq2Fit) round(s *runScratch, t *words8, trials int) {
	p := &s.v[0]
	c.codes(p, trials)
	if n := c.look(p, &t.word[0], trials); n > 0 {
		c.search(p, &t.near[0], n)
	}
	for mask := 1; mask >= 0 && trials > 1; mask-- { // every other trial first
		if n := c.fill(p, trials, mask); n > 0 {
			c.search(p, &t.near[0], n)
		}
	}
}

// finish drops runs of zeros and turns negative scales round.
func (c *iq2Fit) finish(s *runScratch) {
	for i, top := range s.top {
		zero, negative := top < c.tiny || top <= 0, s.scale[i] < 0
		if !zero && !negative {
			continue
		}
		for k := range c.groups {
			if zero {
				s.chosen[k][i], s.signs[c.groups*i+k] = 0, 0
			} else {
				s.signs[c.groups*i+k] ^= 255
			}
		}
		s.scale[i] = -s.scale[i]
		if zero {
			s.scale[i] = 0
		}
	}
}
