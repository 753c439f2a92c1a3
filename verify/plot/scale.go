package plot

import (
	"fmt"
	"math"
	"slices"
)

// scale maps values to places.
type scale struct {
	axis      Axis
	low, high float64 // values, or their logarithms
	from, to  float64 // places
}

// newScale covers the values and a margin; a linear axis of numbers that are not far from zero begins there.
func newScale(a Axis, values []float64, from, to float64) scale {
	low, high := slices.Min(values), slices.Max(values)
	switch {
	case len(a.Ticks) > 0:
		return scale{a, -0.5, float64(len(a.Ticks)) - 0.5, from, to}
	case a.Log:
		low, high = math.Log10(low), math.Log10(high)
	case low >= 0:
		low = 0
	}
	pad := 0.06 * (high - low)
	if pad == 0 {
		pad = math.Max(0.05, 0.05*math.Abs(high))
	}
	if a.Log || low < 0 {
		low -= pad
	}
	return scale{a, low, high + pad, from, to}
}

func (s scale) at(v float64) float64 {
	if s.axis.Log {
		v = math.Log10(v)
	}
	return s.from + (v-s.low)/(s.high-s.low)*(s.to-s.from)
}

type tick struct {
	value float64
	text  string
}

// ticks are round values: 1, 2 and 5 times powers of ten.
func (s scale) ticks() []tick {
	var out []tick
	if len(s.axis.Ticks) > 0 {
		for i, t := range s.axis.Ticks {
			out = append(out, tick{float64(i), t})
		}
		return out
	}
	if s.axis.Log {
		steps := []float64{1, 2, 5}
		if s.high-s.low > 2.5 {
			steps = []float64{1}
		}
		if s.high-s.low < 0.6 {
			steps = []float64{1, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9}
		}
		for e := math.Floor(s.low); e <= s.high; e++ {
			for _, m := range steps {
				if v := m * math.Pow(10, e); math.Log10(v) >= s.low && math.Log10(v) <= s.high {
					out = append(out, tick{v, fmt.Sprintf("%.4g", v)})
				}
			}
		}
		return out
	}
	step := round125((s.high - s.low) / 8)
	for k := math.Ceil(s.low / step); k*step <= s.high; k++ {
		out = append(out, tick{k * step, fmt.Sprintf("%.4g", k*step)})
	}
	return out
}

// round125 is the next of 1, 2 and 5 times a power of ten.
func round125(v float64) float64 {
	p := math.Pow(10, math.Floor(math.Log10(v)))
	for _, m := range []float64{1, 2, 5} {
		if v <= m*p {
			return m * p
		}
	}
	return 10 * p
}
