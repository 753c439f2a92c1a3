package verify

import (
	"cmp"
	"fmt"
	"html/template"
	"math"
	"slices"
	"strings"
)

// Size of the plot, and the margins around its axes.
const (
	plotWidth, plotHeight           = 760, 380
	plotLeft, plotRight             = 70, 120
	plotTop, plotBottom             = 16, 48
	plotInnerWidth, plotInnerHeight = plotWidth - plotLeft - plotRight, plotHeight - plotTop - plotBottom
	plotPad                         = 0.08 // of an axis' length, on both sides of the data
	labelHeight                     = 12
	smallestKLD                     = 1e-7 // a file without any divergence has no place on a logarithmic axis
	plotCaption                     = "Mean KL divergence from the source (nats) against size (GB), both logarithmic; bars are 95% intervals, rings dominated files, the line joins files that no smaller one beats."
)

// axis maps values to places by their logarithm.
type axis struct {
	low, high float64 // logarithms
	from, to  float64 // places
}

func newAxis(values []float64, from, to float64) axis {
	low, high := math.Log10(slices.Min(values)), math.Log10(slices.Max(values))
	pad := max(plotPad*(high-low), 0.05)
	return axis{low - pad, high + pad, from, to}
}

func (a axis) at(v float64) float64 {
	return a.from + (math.Log10(v)-a.low)/(a.high-a.low)*(a.to-a.from)
}

// ticks are round values within the axis: 1, 2 and 5 times powers of ten, or only these where they are many.
func (a axis) ticks() []float64 {
	steps := []float64{1, 2, 5}
	if a.high-a.low > 2.5 {
		steps = []float64{1}
	}
	if a.high-a.low < 0.5 {
		steps = []float64{1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9}
	}
	var out []float64
	for e := math.Floor(a.low); e <= a.high; e++ {
		for _, s := range steps {
			if v := s * math.Pow(10, e); math.Log10(v) >= a.low && math.Log10(v) <= a.high {
				out = append(out, v)
			}
		}
	}
	return out
}

// plot is mean KL divergence against size, one dot a file; empty where fewer than two files were measured.
func (r *Release) plot() template.HTML {
	var files []*Report
	var sizes, klds []float64
	for _, f := range r.Files {
		if f.kld() >= 0 && f.Bytes > 0 {
			files = append(files, f)
			sizes = append(sizes, float64(f.Bytes)/1e9)
			klds = append(klds, max(f.kld(), smallestKLD))
		}
	}
	if len(files) < 2 {
		return ""
	}
	x := newAxis(sizes, plotLeft, plotLeft+plotInnerWidth)
	y := newAxis(klds, plotTop+plotInnerHeight, plotTop)
	var b strings.Builder
	fmt.Fprintf(&b, `<svg class="plot" viewBox="0 0 %d %d" role="img" aria-label="%s">`, plotWidth, plotHeight, plotCaption)
	drawAxes(&b, x, y)
	drawFront(&b, files, x, y)
	drawDots(&b, files, x, y)
	b.WriteString("</svg>")
	return template.HTML(b.String()) // numbers, and text that was escaped
}

func drawAxes(b *strings.Builder, x, y axis) {
	for _, t := range x.ticks() {
		fmt.Fprintf(b, `<path class="grid" d="M%.1f %dV%d"/><text class="tick" x="%.1f" y="%d" text-anchor="middle">%.4g</text>`,
			x.at(t), plotTop, plotTop+plotInnerHeight, x.at(t), plotTop+plotInnerHeight+16, t)
	}
	for _, t := range y.ticks() {
		fmt.Fprintf(b, `<path class="grid" d="M%d %.1fH%d"/><text class="tick" x="%d" y="%.1f" text-anchor="end">%.3g</text>`,
			plotLeft, y.at(t), plotLeft+plotInnerWidth, plotLeft-6, y.at(t)+4, t)
	}
	fmt.Fprintf(b, `<path class="axis" d="M%d %dV%dH%d"/>`, plotLeft, plotTop, plotTop+plotInnerHeight, plotLeft+plotInnerWidth)
	fmt.Fprintf(b, `<text class="name" x="%d" y="%d" text-anchor="middle">GB</text>`, plotLeft+plotInnerWidth/2, plotHeight-8)
	fmt.Fprintf(b, `<text class="name" transform="translate(14 %d) rotate(-90)" text-anchor="middle">mean KLD, nats</text>`, plotTop+plotInnerHeight/2)
}

// drawFront joins the files that are not dominated, from small to large.
func drawFront(b *strings.Builder, files []*Report, x, y axis) {
	front := slices.DeleteFunc(slices.Clone(files), func(f *Report) bool { return len(f.DominatedBy) > 0 || f.Status == Fail })
	slices.SortFunc(front, func(a, b *Report) int { return cmp.Compare(a.Bytes, b.Bytes) })
	for i, f := range front {
		command := byte('L')
		if i == 0 {
			b.WriteString(`<path class="front" d="`)
			command = 'M'
		}
		fmt.Fprintf(b, "%c%.1f %.1f", command, x.at(float64(f.Bytes)/1e9), y.at(max(f.kld(), smallestKLD)))
	}
	if len(front) > 0 {
		b.WriteString(`"/>`)
	}
}

// drawDots draws files, their intervals and labels; labels are moved apart where dots lie close.
func drawDots(b *strings.Builder, files []*Report, x, y axis) {
	type label struct{ x, y float64 }
	var taken []label
	sorted := slices.Clone(files)
	slices.SortFunc(sorted, func(a, b *Report) int { return cmp.Compare(b.Bytes, a.Bytes) })
	for _, f := range sorted {
		cx, cy := x.at(float64(f.Bytes)/1e9), y.at(max(f.kld(), smallestKLD))
		if q := f.Quality; q.KLDLow.Valid() && q.KLDLow > 0 {
			fmt.Fprintf(b, `<path class="error" d="M%.1f %.1fV%.1f"/>`, cx, clamp(y.at(float64(q.KLDLow))), clamp(y.at(float64(q.KLDHigh))))
		}
		class := string(f.Status)
		if len(f.DominatedBy) > 0 {
			fmt.Fprintf(b, `<circle class="ring" cx="%.1f" cy="%.1f" r="7"/>`, cx, cy)
		}
		name := template.HTMLEscapeString(f.Label)
		fmt.Fprintf(b, `<circle class="dot %s" cx="%.1f" cy="%.1f" r="4"><title>%s: %.4g GB, mean KLD %.6f</title></circle>`,
			class, cx, cy, name, float64(f.Bytes)/1e9, f.kld())
		at := label{cx + 8, cy + 4}
		for slices.ContainsFunc(taken, func(o label) bool {
			return math.Abs(o.y-at.y) < labelHeight-1 && math.Abs(o.x-at.x) < 7*float64(len(f.Label)+2)
		}) && at.y > plotTop {
			at.y -= labelHeight
		}
		taken = append(taken, at)
		fmt.Fprintf(b, `<text class="label" x="%.1f" y="%.1f">%s</text>`, at.x, at.y, name)
	}
}

// clamp keeps a place within the plot's height.
func clamp(y float64) float64 { return min(max(y, plotTop), plotTop+plotInnerHeight) }
