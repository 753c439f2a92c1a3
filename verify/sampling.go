package verify

import (
	"math"
	"slices"
)

// Interval is where a figure of a whole text lies, given the chunks that were scored. The figures of a file, five of which
// are judged, lie in their intervals together with 95% confidence: each is a 99% interval (Bonferroni).
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

// interval is that of the mean. Figures of chunks are skewed: a few tokens, for which a router chooses another expert, make
// much of a mean divergence. So Student's quantiles are those of Hall's transformation of the studentised mean, which takes
// out its skewness (P. Hall, On the removal of skewness by transformation, 1992). The skewness is known from few chunks, so
// that it may widen the interval and not narrow it.
func (c clusters) interval(mean, token float64) Interval {
	var m, cubes moments
	for _, v := range c {
		m.add(v)
	}
	n := float64(len(c))
	center, err := m.mean()
	for _, v := range c {
		cubes.add(math.Pow(v-center, 3))
	}
	skew := 0.0 // of the mean: the sample's over the root of n
	if err > 0 {
		third, _ := cubes.mean()
		skew = third / math.Pow(err*math.Sqrt(n-1), 3) / math.Sqrt(n)
	}
	untwist := func(t float64) float64 {
		if math.Abs(skew) < 1e-9 {
			return t
		}
		return 3 / skew * (math.Cbrt(1+skew*(t-skew/6)) - 1)
	}
	t, scale := student(len(c)-1), c.err(token)
	return Interval{mean - max(t, untwist(t))*scale, mean + max(t, -untwist(-t))*scale}
}

// unseen is how many tokens beyond the largest of a sample there may be in as many more, with 99% confidence: -log(0.01).
const unseen = 4.6

// divergence is the interval of a mean divergence over n tokens, the largest of which is most: with room above for tokens that
// are as large, and that the sample may have missed, and in proportion, since a divergence cannot be negative.
func (c clusters) divergence(mean, token, most float64, n int) Interval {
	out := c.interval(mean, token)
	above := student(len(c)-1)*c.err(token) + unseen*most/float64(n)
	if above < mean {
		above = mean * math.Expm1(above/mean)
	}
	return Interval{max(0, out.Low), max(out.High, mean+above)}
}

// quantile is the interval of a quantile (Woodruff): between the quantiles at the ends of the interval of the share of tokens
// that lie below it. Where fewer than fewBeyond tokens lie beyond it, nothing can be said of its upper end: nil.
func (t *text) quantile(all []position, sorted []float32, p float64) *Interval {
	if (1-p)*float64(len(all)) < fewBeyond {
		return nil
	}
	at := float32(percentile(sorted, p))
	var below clusters
	for chunk := range slices.Chunk(all, t.scored()) {
		n := 0.0
		for _, x := range chunk {
			if float32(x.kld) <= at {
				n++
			}
		}
		below = append(below, n/float64(len(chunk)))
	}
	share, last := below.share(p, len(all)), float64(len(sorted)-1)
	low, high := int(share.Low*last)-1, int(math.Ceil(share.High*last))+1 // outwards: ends are tokens' own
	return &Interval{float64(sorted[max(0, low)]), float64(sorted[min(len(sorted)-1, high)])}
}

const fewBeyond = 20

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
