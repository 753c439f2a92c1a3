// Package plot draws the figures of a release as SVG files that stand alone: axes with names and units, error bars,
// colours for light and dark pages.
package plot

import (
	"fmt"
	"html"
	"math"
	"slices"
	"strings"
)

// Chart is a diagram of points, or of bars where Bars is set.
type Chart struct {
	Title string
	X, Y  Axis
	Lines []Series
}

// Axis is one axis of a chart.
type Axis struct {
	Name string // with its unit: time to first token, ms
	Log  bool
	// Ticks names the places 0, 1, 2 ... of an axis of things instead of numbers.
	Ticks []string
}

// Series is a set of points that belong together; a line joins them in order unless Dots is set.
type Series struct {
	Name   string
	Points []Point
	Dots   bool
	Bars   bool // bars from zero, side by side with those of other series
}

// Point is one value. Low and High are its interval; equal to Y where there is none.
type Point struct {
	X, Y, Low, High float64
	Label           string
}

// Size of a chart and of the margins around its axes, in pixels.
const (
	width, height = 720, 400
	left, right   = 76, 16
	top, bottom   = 62, 56
)

// style has the colours of light and of dark pages. The series' colours are Okabe and Ito's, which the colour-blind
// tell apart.
const style = `<style>
text{font:12px system-ui,sans-serif;fill:#24292f}.t{font-size:11px;fill:#57606a}.h{font-size:14px;font-weight:600}
.g{stroke:#d8dee4;fill:none}.a{stroke:#57606a;fill:none}.bg{fill:#fff}
.c0{color:#0072b2}.c1{color:#d55e00}.c2{color:#009e73}.c3{color:#cc79a7}.c4{color:#e69f00}.c5{color:#56b4e9}
.l{stroke:currentColor;stroke-width:2;fill:none}.d{fill:currentColor}.e{stroke:currentColor;stroke-width:1.5;fill:none}
.n{fill:#eaeef2}.x{fill:#c026d3}
@media screen and (prefers-color-scheme:dark){text{fill:#e6edf3}.t{fill:#9198a1}.g{stroke:#30363d}.a{stroke:#9198a1}.bg{fill:#0d1117}
.c0{color:#4aa8e0}.c1{color:#ff8a3d}.c2{color:#2fd3a2}.c3{color:#e3a1c6}.c4{color:#f2b632}.c5{color:#8fd0f5}.n{fill:#21262d}.x{fill:#e879f9}}
</style>`

// SVG draws the chart. Points that are not finite, or not positive on a logarithmic axis, are left out; a chart without
// any is nil.
func (c *Chart) SVG() []byte {
	xs, ys := c.values()
	if len(xs) == 0 {
		return nil
	}
	x := newScale(c.X, xs, left, width-right)
	y := newScale(c.Y, ys, height-bottom, top)
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img" aria-label="%s">%s<rect class="bg" width="%d" height="%d"/>`,
		width, height, html.EscapeString(c.Title), style, width, height)
	fmt.Fprintf(&b, `<text class="h" x="%d" y="22">%s</text>`, left, html.EscapeString(c.Title))
	c.legend(&b)
	c.axes(&b, x, y)
	for i, s := range c.Lines {
		s.draw(&b, i, c, x, y)
	}
	b.WriteString("</svg>\n")
	return []byte(b.String())
}

// values are the coordinates that the axes must cover.
func (c *Chart) values() (xs, ys []float64) {
	for i := range c.Lines {
		s := &c.Lines[i]
		s.Points = slices.DeleteFunc(slices.Clone(s.Points), func(p Point) bool {
			return !finite(p.X) || !finite(p.Y) || c.X.Log && p.X <= 0 || c.Y.Log && p.Y <= 0
		})
		for _, p := range s.Points {
			xs = append(xs, p.X)
			ys = append(ys, p.Y)
			for _, v := range []float64{p.Low, p.High} {
				if finite(v) && (!c.Y.Log || v > 0) {
					ys = append(ys, v)
				}
			}
		}
		if s.Bars && !c.Y.Log {
			ys = append(ys, 0)
		}
	}
	if len(xs) == 0 {
		return nil, nil
	}
	return xs, ys
}

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

func (c *Chart) legend(b *strings.Builder) {
	at := float64(left)
	for i, s := range c.Lines {
		if s.Name == "" {
			continue
		}
		fmt.Fprintf(b, `<rect class="d c%d" x="%.0f" y="34" width="10" height="10"/><text x="%.0f" y="43">%s</text>`, i%colours, at, at+15, html.EscapeString(s.Name))
		at += 30 + 7*float64(len([]rune(s.Name)))
	}
}

const colours = 6

func (c *Chart) axes(b *strings.Builder, x, y scale) {
	for _, t := range x.ticks() {
		fmt.Fprintf(b, `<path class="g" d="M%.1f %dV%d"/><text class="t" x="%.1f" y="%d" text-anchor="middle">%s</text>`,
			x.at(t.value), top, height-bottom, x.at(t.value), height-bottom+17, html.EscapeString(t.text))
	}
	for _, t := range y.ticks() {
		fmt.Fprintf(b, `<path class="g" d="M%d %.1fH%d"/><text class="t" x="%d" y="%.1f" text-anchor="end">%s</text>`,
			left, y.at(t.value), width-right, left-7, y.at(t.value)+4, html.EscapeString(t.text))
	}
	fmt.Fprintf(b, `<path class="a" d="M%d %dV%dH%d"/>`, left, top, height-bottom, width-right)
	fmt.Fprintf(b, `<text x="%d" y="%d" text-anchor="middle">%s</text>`, (left+width-right)/2, height-12, html.EscapeString(c.X.Name))
	fmt.Fprintf(b, `<text transform="translate(16 %d) rotate(-90)" text-anchor="middle">%s</text>`, (top+height-bottom)/2, html.EscapeString(c.Y.Name))
}

func (s *Series) draw(b *strings.Builder, i int, c *Chart, x, y scale) {
	fmt.Fprintf(b, `<g class="c%d">`, i%colours)
	defer b.WriteString("</g>")
	if s.Bars {
		s.bars(b, i, c, x, y)
		return
	}
	if !s.Dots && len(s.Points) > 1 {
		var d strings.Builder
		for k, p := range s.Points {
			d.WriteString(map[bool]string{true: "M", false: "L"}[k == 0])
			fmt.Fprintf(&d, "%.1f %.1f", x.at(p.X), y.at(p.Y))
		}
		fmt.Fprintf(b, `<path class="l" d="%s"/>`, d.String())
	}
	for _, p := range s.Points {
		px, py := x.at(p.X), y.at(p.Y)
		p.whisker(b, px, c.Y.Log, y)
		fmt.Fprintf(b, `<circle class="d" cx="%.1f" cy="%.1f" r="4"><title>%s</title></circle>`, px, py, html.EscapeString(p.title(s.Name)))
		if p.Label != "" {
			fmt.Fprintf(b, `<text class="t" x="%.1f" y="%.1f">%s</text>`, px+7, py-5, html.EscapeString(p.Label))
		}
	}
}

// bars stand side by side at the places 0, 1, 2 ... of the axis.
func (s *Series) bars(b *strings.Builder, i int, c *Chart, x, y scale) {
	step := x.at(1) - x.at(0)
	w := 0.7 * step / float64(len(c.Lines))
	for _, p := range s.Points {
		px := x.at(p.X) - 0.35*step + float64(i)*w
		py := y.at(p.Y)
		fmt.Fprintf(b, `<rect class="d" x="%.1f" y="%.1f" width="%.1f" height="%.1f"><title>%s</title></rect>`, px, py, w-1, y.from-py, html.EscapeString(p.title(s.Name)))
		p.whisker(b, px+w/2, c.Y.Log, y)
	}
}

// whisker draws a point's interval.
func (p Point) whisker(b *strings.Builder, px float64, log bool, y scale) {
	if !finite(p.Low) || !finite(p.High) || p.Low == p.High || log && p.Low <= 0 {
		return
	}
	lo, hi := y.at(p.Low), y.at(p.High)
	fmt.Fprintf(b, `<path class="e" d="M%.1f %.1fV%.1fM%.1f %.1fh8M%.1f %.1fh8"/>`, px, lo, hi, px-4, lo, px-4, hi)
}

func (p Point) title(series string) string {
	name := strings.TrimSpace(series + " " + p.Label)
	text := fmt.Sprintf("%.5g", p.Y)
	if p.Low != p.High {
		text += fmt.Sprintf(" (%.5g to %.5g)", p.Low, p.High)
	}
	if name == "" {
		return text
	}
	return name + ": " + text
}
