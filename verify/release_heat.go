package verify

import (
	"fmt"
	"html/template"
	"maps"
	"math"
	"slices"
	"strings"
)

// heatView is the map of experts: one cell for each layer and expert, the worst over the files.
type heatView struct {
	SVG     template.HTML // empty where no file has experts that were looked at
	Caption string
	Rows    []heatRow
}

// heatRow is a layer's worst expert, in numbers.
type heatRow struct {
	Layer, Expert int
	NMSE, File    string
	Never         int // experts that no text reached
	Damaged       int
}

// heatCell is what is known of one expert over all files.
type heatCell struct {
	nmse     float64 // NaN: not compared
	file     string  // where that is
	uses     int64   // largest number of uses; -1: not counted
	kind     string  // of the gravest damage
	messages []string
}

const heatLevels = 8

// heatMap gathers the experts of all files.
func (r *Release) heatMap() heatView {
	cells, layers, count := r.heatCells()
	if len(layers) == 0 {
		return heatView{}
	}
	size := min(18, max(6, 900/count))
	left, top := 46, 18
	var b strings.Builder
	fmt.Fprintf(&b, `<svg class="heat" width="%d" height="%d" role="img" aria-label="experts by layer">`, left+count*size+4, top+len(layers)*size+4)
	for x := 0; x < count; x += max(1, count/16) {
		fmt.Fprintf(&b, `<text class="tick" x="%d" y="12">%d</text>`, left+x*size, x)
	}
	var v heatView
	for i, l := range layers {
		if i%max(1, len(layers)/24) == 0 {
			fmt.Fprintf(&b, `<text class="tick" x="%d" y="%d" text-anchor="end">blk.%d</text>`, left-4, top+i*size+size-1, l)
		}
		row := heatRow{Layer: l, Expert: -1, NMSE: "-"}
		worst := -1.0
		for x := range count {
			c := cells[place{l, x}]
			fmt.Fprintf(&b, `<rect x="%d" y="%d" width="%d" height="%d" class="%s"><title>%s</title></rect>`,
				left+x*size, top+i*size, size-1, size-1, c.class(), template.HTMLEscapeString(c.title(l, x)))
			if c.nmse > worst {
				worst, row.Expert, row.NMSE, row.File = c.nmse, x, fmt.Sprintf("%.3g", c.nmse), c.file
			}
			if c.uses == 0 {
				row.Never++
			}
			if c.kind != "" {
				row.Damaged++
			}
		}
		v.Rows = append(v.Rows, row)
	}
	b.WriteString("</svg>")
	v.SVG = template.HTML(b.String()) // numbers, and text that was escaped
	v.Caption = fmt.Sprintf("%d layers x %d experts: colour is the worst relative error (NMSE) of the expert's tensors against the source, over %d files", len(layers), count, len(r.Files))
	return v
}

// heatCells merges the files' experts.
func (r *Release) heatCells() (cells map[place]heatCell, layers []int, count int) {
	cells = map[place]heatCell{}
	rows := map[int]bool{}
	for _, f := range r.Files {
		e := f.Experts
		if e == nil {
			continue
		}
		count = max(count, e.Count)
		for i, l := range e.Layers {
			rows[l] = true
			for x := range e.Count {
				at := place{l, x}
				c, ok := cells[at]
				if !ok {
					c = heatCell{nmse: math.NaN(), uses: -1}
				}
				if i < len(e.NMSE) && x < len(e.NMSE[i]) && !(float64(e.NMSE[i][x]) <= c.nmse) && e.NMSE[i][x].Valid() {
					c.nmse, c.file = float64(e.NMSE[i][x]), f.Label
				}
				if i < len(e.Uses) && x < len(e.Uses[i]) {
					c.uses = max(c.uses, e.Uses[i][x])
				}
				cells[at] = c
			}
		}
		for _, d := range e.Damage {
			at := place{d.Layer, d.Expert}
			c := cells[at]
			c.kind = graver(c.kind, d.Kind)
			if len(c.messages) < 2 {
				c.messages = append(c.messages, f.Label+": "+shorten(d.Message, 120))
			}
			cells[at] = c
		}
	}
	return cells, slices.Sorted(maps.Keys(rows)), count
}

// graver is the kind of damage that matters more.
func graver(a, b string) string {
	order := []string{"", "other", "zero", "nan"}
	if slices.Index(order, b) > slices.Index(order, a) {
		return b
	}
	return a
}

// class is the cell's colour.
func (c heatCell) class() string {
	switch {
	case c.kind != "":
		return "x" + c.kind
	case c.uses == 0:
		return "never"
	case math.IsNaN(c.nmse):
		return "none"
	case c.nmse <= 0:
		return "h0"
	}
	level := int(math.Floor(math.Log10(c.nmse))) + heatLevels - 1 // 0 below 1e-6, a level more for each power of ten, the last from 1
	return fmt.Sprintf("h%d", min(max(level, 0), heatLevels-1))
}

// title is the cell in words.
func (c heatCell) title(layer, expert int) string {
	s := fmt.Sprintf("blk.%d expert %d", layer, expert)
	if !math.IsNaN(c.nmse) {
		s += fmt.Sprintf(": %.3g in %s", c.nmse, c.file)
	}
	switch {
	case c.uses == 0:
		s += ", never routed to"
	case c.uses > 0:
		s += fmt.Sprintf(", %d uses", c.uses)
	}
	for _, m := range c.messages {
		s += "; " + m
	}
	return s
}
