package plot

import (
	"encoding/xml"
	"errors"
	"io"
	"math"
	"strings"
	"testing"
)

// parse reads the SVG as XML and counts its elements.
func parse(t *testing.T, svg []byte) map[string]int {
	t.Helper()
	n := map[string]int{}
	dec := xml.NewDecoder(strings.NewReader(string(svg)))
	for {
		tok, err := dec.Token()
		if errors.Is(err, io.EOF) {
			return n
		}
		if err != nil {
			t.Fatalf("%v in %s", err, svg)
		}
		if e, ok := tok.(xml.StartElement); ok {
			n[e.Name.Local]++
			for _, a := range e.Attr {
				if strings.Contains(a.Value, "NaN") || strings.Contains(a.Value, "Inf") {
					t.Errorf("%s %s=%s", e.Name.Local, a.Name.Local, a.Value)
				}
			}
		}
	}
}

func TestChart(t *testing.T) {
	c := Chart{Title: "a <b> & c", X: Axis{Name: "prompt, tokens"}, Y: Axis{Name: "time, ms"}, Lines: []Series{
		{Name: "streaming", Points: []Point{{6, 12, 11, 13, ""}, {14, 20, 19, 22, "x"}, {20, math.NaN(), 0, 0, ""}}},
		{Name: "other", Points: []Point{{6, 13, 13, 13, ""}}}}}
	svg := c.SVG()
	n := parse(t, svg)
	if n["circle"] != 3 {
		t.Errorf("%d dots", n["circle"])
	}
	for _, want := range []string{"prefers-color-scheme:dark", "prompt, tokens", "time, ms", "a &lt;b&gt; &amp; c", "streaming", `class="e"`} {
		if !strings.Contains(string(svg), want) {
			t.Errorf("no %s", want)
		}
	}
	if strings.Count(string(svg), `class="e"`) != 2 {
		t.Errorf("error bars: %s", svg)
	}
	bars := Chart{Title: "memory", X: Axis{Name: "file", Ticks: []string{"Q8_0", "Q4_K_M"}}, Y: Axis{Name: "GB"}, Lines: []Series{
		{Name: "device", Bars: true, Points: []Point{{0, 2, 2, 2, ""}, {1, 1, 1, 1, ""}}}}}
	if n := parse(t, bars.SVG()); n["rect"] != 4 { // background, legend, two bars
		t.Errorf("%d rectangles", n["rect"])
	}
	for _, empty := range []Chart{{}, {Lines: []Series{{Points: []Point{{1, math.Inf(1), 0, 0, ""}}}}}, {Y: Axis{Log: true}, Lines: []Series{{Points: []Point{{1, 0, 0, 0, ""}}}}}} {
		if svg := empty.SVG(); svg != nil {
			t.Errorf("%s", svg)
		}
	}
	one := Chart{X: Axis{Log: true}, Y: Axis{Log: true}, Lines: []Series{{Dots: true, Points: []Point{{3, 3, 3, 3, "only"}}}}}
	parse(t, one.SVG())
}

func TestTicks(t *testing.T) {
	for _, c := range []struct {
		a      Axis
		values []float64
		want   string
	}{
		{Axis{}, []float64{0, 10}, "0 2 4 6 8 10"},
		{Axis{}, []float64{100, 120}, "0 20 40 60 80 100 120"},
		{Axis{Log: true}, []float64{0.001, 10}, "0.001 0.01 0.1 1 10"},
		{Axis{Log: true}, []float64{2, 30}, "2 5 10 20"},
	} {
		var got []string
		for _, tk := range newScale(c.a, c.values, 0, 100).ticks() {
			got = append(got, tk.text)
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%v: %v, want %s", c.values, got, c.want)
		}
	}
}

func TestHeatMap(t *testing.T) {
	h := HeatMap{Title: "experts", Row: "layer", Cell: "expert", Value: "NMSE", Rows: []string{"1", "2"}, Cells: [][]float64{{1e-4, 1e-3}, {math.NaN(), 0}}, Log: true}
	if n := parse(t, h.SVG()); n["rect"] != 5 {
		t.Errorf("%d rectangles", n["rect"])
	}
	if (&HeatMap{Rows: []string{"1"}, Cells: [][]float64{{math.NaN()}}}).SVG() != nil {
		t.Error("a map of nothing")
	}
}
