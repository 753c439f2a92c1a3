package verify

import (
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/moeconv/moeconv/gguf"
)

// drawnRows are rows that were drawn together: their number and, once the next has begun, the sums of what was compared before it.
type drawnRows struct {
	rows            int
	errors, squares float64
}

// begin closes the run before, and starts one where rows were drawn.
func (c *compared) begin(sp sampled) {
	if n := len(c.runs); n > 0 && c.runs[n-1].open() {
		c.runs[n-1].close(c)
	}
	if sp.drawn {
		c.runs = append(c.runs, drawnRows{-sp.n, c.errors, c.squares})
	}
}

func (r *drawnRows) open() bool { return r.rows < 0 }

func (r *drawnRows) close(c *compared) {
	*r = drawnRows{-r.rows, c.errors - r.errors, c.squares - r.squares}
}

// stratum is a unit's part in the squared errors of a type: each row that was drawn stands for weight rows.
type stratum struct {
	runs   []drawnRows
	weight float64
}

// overall says, of a sample, what the squared error of all values of each type is, relative to their squares, and where it
// lies: a ratio estimate in which units are strata, and runs of rows what was drawn from them.
func (a *audit) overall(r *Result) string {
	types := map[gguf.Type][]stratum{}
	for i, u := range a.units {
		c := &a.got[i]
		c.begin(sampled{})
		rows := 0
		for _, x := range c.runs {
			rows += x.rows
		}
		if t := a.tensors[u.tensor].Type; c.err == nil && len(c.runs) > 1 {
			types[t] = append(types[t], stratum{c.runs, float64(u.rows) / float64(rows)})
		}
	}
	out := ""
	for _, t := range slices.Sorted(maps.Keys(types)) {
		ratio, half, ok := ratioOf(types[t])
		if !ok {
			continue
		}
		low, high := max(0, ratio-half), ratio+half
		key := "overall_nmse_" + t.String()
		r.figure(key, ratio)
		r.figure(key+"_low", low)
		r.figure(key+"_high", high)
		out += fmt.Sprintf("; of all %v %.3g (%.3g to %.3g)", t, ratio, low, high)
	}
	return out
}

// ratioOf is the ratio of errors and squares over all rows, and half of its interval: with Student's quantile for as many
// degrees of freedom as Satterthwaite's rule gives.
func ratioOf(strata []stratum) (ratio, half float64, ok bool) {
	var e, q float64
	for _, s := range strata {
		for _, x := range s.runs {
			e, q = e+s.weight*x.errors, q+s.weight*x.squares
		}
	}
	if q == 0 {
		return 0, 0, false
	}
	ratio = e / q
	var variance, squared float64
	for _, s := range strata {
		var m moments
		for _, x := range s.runs {
			m.add(x.errors - ratio*x.squares)
		}
		_, err := m.mean()
		n := float64(m.n)
		v := s.weight * s.weight * n * n * err * err
		variance, squared = variance+v, squared+v*v/(n-1)
	}
	if squared == 0 {
		return ratio, 0, true
	}
	return ratio, student(int(variance*variance/squared)) * math.Sqrt(variance) / q, true
}
