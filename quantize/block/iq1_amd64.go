//go:build amd64 && !purego

package block

//go:generate go run -C _asm . -gen iq1 -out ../iq1_amd64.s -stubs ../iq1_stubs_amd64.go -pkg block

// iq1Form are the kernels of one form for runs of one length.
type iq1Form struct {
	sort   func(s *float32) (bad int)
	divide func(s *float32) (bad int)
	digits func(s *float32)
	look   func(s *float32, words *uint32, trials int) (n int)
	search func(s *float32, near *uint32, n int)
	refit  func(s *float32)
}

// iq1Fit fits runs.
type iq1Fit struct {
	iq1Form
	tiny float32 // magnitude below which a run counts as zeros
	// redo fits a run by the portable form.
	redo func(s *runScratch, run int)
}

var wordsIQ1 = wordsOf(gridIQ1)

func (c iq1Fit) fit(s *runScratch, t *words8) (ok bool) {
	p := &s.v[0]
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
