package verify

import (
	"math"
	"slices"
)

// Interval is where a figure of a whole text lies with 95% confidence, given the chunks that were scored. Figures of
// chunks are skewed (a few tokens make much of a mean divergence), so that Student's 95% would be too narrow: bounds are
// his 99%, which in draws of 8 to 32 chunks of the tiny model's table hold for 95% and more.
type Interval struct {
	Low  float64 `json:"low"`
	High float64 `json:"high"`
}

// student is the two-sided 99% quantile of Student's t distribution (Fisher's expansion beyond ten degrees of freedom).
func student(freedom int) float64 {
	table := [...]float64{63.657, 9.925, 5.841, 4.604, 4.032, 3.707, 3.499, 3.355, 3.250, 3.169}
	if freedom <= len(table) {
		return table[max(0, freedom-1)]
	}
	const z = 2.575829
	f := float64(freedom)
	return z + (z*z*z+z)/(4*f) + (5*math.Pow(z, 5)+16*z*z*z+3*z)/(96*f*f)
}

// clusters is a figure's means over chunks. Neighbouring tokens are alike, those of other chunks are not: chunks are
// the units of which a sample consists.
type clusters []float64

// err is the standard error of the mean of all, and at least that of tokens as if they were independent.
func (c clusters) err(token float64) float64 {
	var m moments
	for _, v := range c {
		m.add(v)
	}
	_, err := m.mean()
	return max(err, token)
}

// half is half of the mean's interval.
func (c clusters) half(token float64) float64 { return student(len(c)-1) * c.err(token) }

// divergence is the interval of a mean divergence: in proportion, since it cannot be negative, with room above for
// a chunk like the worst that the sample may have missed.
func (c clusters) divergence(mean, token float64) Interval {
	half := c.half(token)
	above := half + (slices.Max(c)-mean)/float64(len(c))
	if half >= mean {
		return Interval{mean - half, mean + above}
	}
	return Interval{mean * math.Exp(-half/mean), mean * math.Exp(above/mean)}
}

// share is the interval of a share of n tokens (Wilson's, with as many tokens as would be worth the chunks).
func (c clusters) share(p float64, n int) Interval {
	token := p * (1 - p) / float64(n)
	worth := float64(n)
	if e := c.err(0); e*e > token && token > 0 {
		worth *= token / (e * e)
	}
	z := student(len(c) - 1)
	mid := (p + z*z/(2*worth)) / (1 + z*z/worth)
	half := z / (1 + z*z/worth) * math.Sqrt(p*(1-p)/worth+z*z/(4*worth*worth))
	return Interval{max(0, mid-half), min(1, mid+half)}
}
