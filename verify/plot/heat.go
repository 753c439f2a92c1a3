package plot

import (
	"fmt"
	"html"
	"math"
	"strings"
)

// HeatMap is a table of values as colours, from light for small to dark for large ones.
type HeatMap struct {
	Title     string
	Row, Cell string // what a row and a column are: layer, expert
	Value     string // what the colour means, with its unit
	Rows      []string
	Cells     [][]float64 // NaN: not known
	Log       bool
}

// SVG draws the map; nil without any value.
func (h *HeatMap) SVG() []byte {
	low, high, columns := math.Inf(1), math.Inf(-1), 0
	for _, row := range h.Cells {
		columns = max(columns, len(row))
		for _, v := range row {
			if finite(v) && (!h.Log || v > 0) {
				low, high = math.Min(low, v), math.Max(high, v)
			}
		}
	}
	if columns == 0 || low > high {
		return nil
	}
	size := min(20, max(4, 640/columns))
	w, ht := left+columns*size+right, top+len(h.Rows)*size+bottom
	w = max(w, 420)
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img" aria-label="%s">%s<rect class="bg" width="%d" height="%d"/>`,
		w, ht, html.EscapeString(h.Title), style, w, ht)
	fmt.Fprintf(&b, `<text class="h" x="12" y="22">%s</text><text class="t" x="12" y="42">%s: %.3g (light) to %.3g (dark)</text>`,
		html.EscapeString(h.Title), html.EscapeString(h.Value), low, high)
	for r, row := range h.Cells {
		y := top + r*size
		if r%max(1, 12/size+1) == 0 {
			fmt.Fprintf(&b, `<text class="t" x="%d" y="%d" text-anchor="end">%s</text>`, left-6, y+size-2, html.EscapeString(h.Rows[r]))
		}
		for c, v := range row {
			h.cell(&b, left+c*size, y, size, h.Rows[r], c, v, low, high)
		}
	}
	for c := 0; c < columns; c += max(1, 28/size) {
		fmt.Fprintf(&b, `<text class="t" x="%d" y="%d" text-anchor="middle">%d</text>`, left+c*size+size/2, top+len(h.Rows)*size+15, c)
	}
	fmt.Fprintf(&b, `<text x="%d" y="%d">%s</text>`, left, ht-14, html.EscapeString(h.Cell))
	fmt.Fprintf(&b, `<text transform="translate(16 %d) rotate(-90)" text-anchor="middle">%s</text></svg>`+"\n", top+len(h.Rows)*size/2, html.EscapeString(h.Row))
	return []byte(b.String())
}

func (h *HeatMap) cell(b *strings.Builder, x, y, size int, row string, column int, v, low, high float64) {
	at := fmt.Sprintf(`x="%d" y="%d" width="%d" height="%d"`, x, y, size-1, size-1)
	if !finite(v) {
		fmt.Fprintf(b, `<rect class="n" %s/>`, at)
		return
	}
	share := 0.0
	switch {
	case high == low:
		share = 0.5
	case h.Log && v <= 0:
	case h.Log:
		share = math.Log(v/low) / math.Log(high/low)
	default:
		share = (v - low) / (high - low)
	}
	fmt.Fprintf(b, `<rect class="d c0" fill-opacity="%.2f" %s><title>%s %s, %s %d: %.4g</title></rect>`, 0.08+0.92*share, at,
		html.EscapeString(h.Row), html.EscapeString(row), html.EscapeString(h.Cell), column, v)
}
