package verify

import (
	"cmp"
	"html/template"
	"slices"

	"github.com/moeconv/moeconv/verify/plot"
)

// plot is mean KL divergence against size, one dot a file, the sound ones that none dominates joined; empty where fewer
// than two files were measured.
func (r *Release) plot() template.HTML {
	best := plot.Series{Name: "no smaller file is closer"}
	beaten := plot.Series{Name: "dominated", Dots: true}
	held := plot.Series{Name: "held", Dots: true}
	n := 0
	for _, f := range r.Files {
		if f.kld() <= 0 || f.Bytes <= 0 { // a copy of the source has no place on a logarithmic axis
			continue
		}
		n++
		s := &best
		switch {
		case f.Status == Fail:
			s = &held
		case len(f.DominatedBy) > 0:
			s = &beaten
		}
		q := f.Quality
		s.Points = append(s.Points, plot.Point{X: float64(f.Bytes) / 1e9, Y: f.kld(), Low: float64(q.KLDLow), High: float64(q.KLDHigh), Label: f.Label})
	}
	if n < 2 {
		return ""
	}
	slices.SortFunc(best.Points, func(a, b plot.Point) int { return cmp.Compare(a.X, b.X) })
	c := plot.Chart{Title: "Mean KL divergence from the source against size", X: plot.Axis{Name: "size, GB", Log: true},
		Y: plot.Axis{Name: "mean KL divergence, nats; 95% intervals", Log: true}}
	for _, s := range []plot.Series{best, held, beaten} {
		if len(s.Points) > 0 {
			c.Lines = append(c.Lines, s)
		}
	}
	return template.HTML(c.SVG()) // numbers, and text that was escaped
}
