package verify

import (
	"cmp"
	"math"
	"slices"

	"github.com/moeconv/moeconv/gguf/names"
)

// Experts says what is known of each routed expert of one file. Rows are the layers that have any, columns the experts.
type Experts struct {
	Layers []int      `json:"layers"`           // block numbers, ascending
	Count  int        `json:"count"`            // experts of a layer
	NMSE   [][]Number `json:"nmse,omitempty"`   // worst of the expert's tensors: squared error against the source over the source's squares; null: not compared
	Uses   [][]int64  `json:"uses,omitempty"`   // how often the text's tokens were routed to it, over all chunks
	Damage []Damage   `json:"damage,omitempty"` // what checks found
}

// Damage is a problem of one expert.
type Damage struct {
	Layer   int    `json:"layer"`
	Expert  int    `json:"expert"`
	Kind    string `json:"kind"` // nan, zero or other
	Message string `json:"message"`
}

// place is one routed expert.
type place struct{ layer, expert int }

// noteExpert takes in how far a tensor of an expert lies from the source's; expert is negative for tensors that are not experts'.
// The worst of an expert's tensors is kept. Not for concurrent use.
func (s *Subject) noteExpert(tensor string, expert int, nmse float64) {
	if expert < 0 {
		return
	}
	if s.nmse == nil {
		s.nmse = map[place]float64{}
	}
	at := place{names.Parse(tensor).Block, expert}
	if old, ok := s.nmse[at]; !ok || nmse > old || math.IsNaN(nmse) {
		s.nmse[at] = nmse
	}
}

// kindOf sorts a problem of an expert for the heat map.
func kindOf(p Problem) string {
	switch p.Damage {
	case "nan", "zero":
		return p.Damage
	}
	return "other"
}

// experts gathers what the checks saw of each expert; nil for a file without any.
func (s *Subject) experts(checks []Result) *Experts {
	e := &Experts{}
	layers := map[int]bool{}
	for _, t := range s.Source.Tensors() {
		if n := names.Parse(t.Name); n.Role.Class() == names.RoutedExpert {
			layers[n.Block] = true
			e.Count = max(e.Count, expertsIn(t))
		}
	}
	if len(layers) == 0 {
		return nil
	}
	for l := range layers {
		e.Layers = append(e.Layers, l)
	}
	slices.Sort(e.Layers)
	e.setErrors(s.nmse)
	if s.measured != nil {
		e.setUses(s.measured.Perplexity.Routes)
	}
	for _, c := range checks {
		for _, p := range c.experts {
			e.Damage = append(e.Damage, Damage{names.Parse(p.Tensor).Block, p.Expert, kindOf(p), names.Parse(p.Tensor).String() + ": " + p.Message})
		}
	}
	slices.SortStableFunc(e.Damage, func(a, b Damage) int {
		return cmp.Or(cmp.Compare(a.Layer, b.Layer), cmp.Compare(a.Expert, b.Expert))
	})
	return e
}

// setErrors fills NMSE, to four significant digits: a report of 94 layers x 128 experts has 12,032.
func (e *Experts) setErrors(nmse map[place]float64) {
	if len(nmse) == 0 {
		return
	}
	for _, l := range e.Layers {
		row := make([]Number, e.Count)
		for x := range row {
			row[x] = None()
			if v, ok := nmse[place{l, x}]; ok {
				row[x] = Number(significant(v, 4))
			}
		}
		e.NMSE = append(e.NMSE, row)
	}
}

func (e *Experts) setUses(routes [][]int64) {
	if len(routes) == 0 {
		return
	}
	for _, l := range e.Layers {
		row := make([]int64, e.Count)
		if l < len(routes) {
			copy(row, routes[l])
		}
		e.Uses = append(e.Uses, row)
	}
}

// significant rounds v to n significant digits.
func significant(v float64, n int) float64 {
	if v == 0 || math.IsNaN(v) || math.IsInf(v, 0) {
		return v
	}
	scale := math.Pow(10, float64(n-1)-math.Floor(math.Log10(math.Abs(v))))
	if math.IsInf(scale, 0) {
		return v
	}
	return math.Round(v*scale) / scale
}
