package recipes

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"

	"github.com/moeconv/moeconv/verify"
	"github.com/moeconv/moeconv/verify/card"
	"github.com/moeconv/moeconv/verify/evidence"
	"github.com/moeconv/moeconv/verify/plot"
)

// PlotDir is the folder of a release's diagrams.
func PlotDir(name string) string { return name + ".plots" }

// plots draws what the release has figures for and keeps it beside the card. Diagrams of an earlier run that have
// nothing to show any more are removed.
func (l *Release) plots() ([]card.Plot, error) {
	all := []struct {
		file, title string
		svg         []byte
	}{
		{"kld.svg", "KL divergence against size", l.divergencePlot()},
		{"memory.svg", "Memory on the device and on the host", l.memoryPlot()},
		{"ttft.svg", "Time to the first token", l.benchPlot("Time to the first token against the prompt's length", "ms", func(c benchCell) (benchStat, float64) { return c.TTFT, 1000 })},
		{"speed.svg", "Tokens per second", l.benchPlot("Decoding speed against the prompt's length", "tok/s", func(c benchCell) (benchStat, float64) { return c.Decode, 1 })},
		{"experts.svg", "Experts: error against the source", l.expertPlot()},
	}
	var out []card.Plot
	for _, p := range all {
		path := filepath.Join(l.Dir, PlotDir(l.Report.Name), p.file)
		if p.svg == nil {
			if err := os.RemoveAll(path); err != nil {
				return nil, err
			}
			continue
		}
		out = append(out, card.Plot{File: PlotDir(l.Report.Name) + "/" + p.file, Title: p.title})
		if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, p.svg) {
			continue
		}
		if err := evidence.WriteFile(path, p.svg); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// sizeUnit is the unit of the release's diagrams: megabytes where no file has a tenth of a gigabyte.
func (l *Release) sizeUnit() (float64, string) {
	for _, o := range l.Report.Outputs {
		if o.Bytes >= 1e8 {
			return 1e9, "GB"
		}
	}
	return 1e6, "MB"
}

// divergencePlot is mean KL divergence against size, one dot a file.
func (l *Release) divergencePlot() []byte {
	s := plot.Series{Dots: true}
	unit, name := l.sizeUnit()
	for i := range l.Report.Outputs {
		o := &l.Report.Outputs[i]
		if o.Quality == nil || o.Verdict == string(verify.Fail) || o.Quality.MeanKLD <= 0 {
			continue
		}
		p := plot.Point{X: float64(o.Bytes) / unit, Y: o.Quality.MeanKLD, Low: o.Quality.MeanKLD, High: o.Quality.MeanKLD, Label: o.Label}
		if q := o.Verify; q != nil && q.Quality != nil && q.Quality.KLDLow.Valid() && q.Quality.KLDHigh.Valid() {
			p.Low, p.High = float64(q.Quality.KLDLow), float64(q.Quality.KLDHigh)
		}
		s.Points = append(s.Points, p)
	}
	if len(s.Points) < 2 {
		return nil
	}
	c := plot.Chart{Title: "Mean KL divergence from the source against size", X: plot.Axis{Name: "size, " + name, Log: true},
		Y: plot.Axis{Name: "mean KL divergence, nats", Log: true}, Lines: []plot.Series{s}}
	return c.SVG()
}

// memoryPlot is what each file needs on the device with all of it there, and with all routed experts on the host.
func (l *Release) memoryPlot() []byte {
	whole, moved, host := plot.Series{Name: "device, all on it", Bars: true}, plot.Series{Name: "device, --cpu-moe", Bars: true}, plot.Series{Name: "host, --cpu-moe", Bars: true}
	unit, name := l.sizeUnit()
	c := plot.Chart{Title: "Memory: weights, KV cache and compute buffers, from the files' headers", X: plot.Axis{Name: "file"}, Y: plot.Axis{Name: name}}
	doc := &placementDoc{}
	readOld(l.Dir, l.Report, card.PlacementName, doc)
	for _, e := range doc.Extremes {
		if o := l.Report.output(e.Label); o == nil || o.Verdict == string(verify.Fail) {
			continue
		}
		x := float64(len(c.X.Ticks))
		c.X.Ticks = append(c.X.Ticks, e.Label)
		bar := func(s *plot.Series, bytes int64) {
			v := float64(bytes) / unit
			s.Points = append(s.Points, plot.Point{X: x, Y: v, Low: v, High: v})
		}
		bar(&whole, e.Whole)
		bar(&moved, e.Device)
		bar(&host, e.Host)
	}
	c.Lines = []plot.Series{whole, moved, host}
	return c.SVG()
}

// expertPlot is the worst error of each expert over the files.
func (l *Release) expertPlot() []byte {
	var h *plot.HeatMap
	for i := range l.Report.Outputs {
		v := l.Report.Outputs[i].Verify
		if v == nil || v.Experts == nil || v.Status == verify.Fail {
			continue
		}
		e := v.Experts
		if h == nil {
			h = &plot.HeatMap{Title: "Experts: worst relative error (NMSE) over the files", Row: "layer", Cell: "expert", Value: "NMSE", Log: true}
			for _, layer := range e.Layers {
				h.Rows = append(h.Rows, fmt.Sprint(layer))
				h.Cells = append(h.Cells, slices.Repeat([]float64{-1}, e.Count))
			}
		}
		for r := range min(len(h.Cells), len(e.NMSE)) {
			for x := range min(len(h.Cells[r]), len(e.NMSE[r])) {
				if n := e.NMSE[r][x]; n.Valid() {
					h.Cells[r][x] = max(h.Cells[r][x], float64(n))
				}
			}
		}
	}
	if h == nil {
		return nil
	}
	for _, row := range h.Cells {
		for x, n := range row {
			if n < 0 {
				row[x] = math.NaN()
			}
		}
	}
	return h.SVG()
}

// benchReport is what diagrams need of a result of bench.
type benchReport struct {
	Models []struct {
		Name string `json:"name"`
		Rows []struct {
			Prompt string `json:"prompt"`
			Tokens *int   `json:"prompt_tokens"`
		} `json:"rows"`
		Cells []benchCell `json:"cells"`
	} `json:"models"`
}

type benchCell struct {
	Prompt string    `json:"prompt"`
	Mode   string    `json:"mode"`
	TTFT   benchStat `json:"ttft_s"`
	Decode benchStat `json:"decode_tok_s"`
}

type benchStat struct {
	Mean float64 `json:"mean"`
	CI95 float64 `json:"ci95"`
	N    int     `json:"n"`
}

// benchPlot is a figure of bench against the number of the prompt's tokens, a line for each model; bars are 95%
// intervals.
func (l *Release) benchPlot(title, unit string, figure func(benchCell) (benchStat, float64)) []byte {
	names, _ := inDir(l.Dir, "*.bench.json")
	c := plot.Chart{Title: title, X: plot.Axis{Name: "prompt, tokens"}, Y: plot.Axis{Name: unit}}
	for _, name := range names {
		var rep benchReport
		if data, err := os.ReadFile(name); err != nil || json.Unmarshal(data, &rep) != nil {
			continue // the audit says so
		}
		for _, m := range rep.Models {
			tokens := map[string]int{}
			for _, r := range m.Rows {
				if r.Tokens != nil {
					tokens[r.Prompt] = *r.Tokens
				}
			}
			s := plot.Series{Name: m.Name}
			for _, cell := range m.Cells {
				st, scale := figure(cell)
				if n := tokens[cell.Prompt]; n > 0 && st.N > 0 && cell.Mode == "streaming" {
					s.Points = append(s.Points, plot.Point{X: float64(n), Y: scale * st.Mean, Low: scale * (st.Mean - st.CI95), High: scale * (st.Mean + st.CI95)})
				}
			}
			slices.SortFunc(s.Points, func(a, b plot.Point) int { return cmp.Compare(a.X, b.X) })
			if len(s.Points) > 0 {
				c.Lines = append(c.Lines, s)
			}
		}
	}
	return c.SVG()
}
