package quantize

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/quantize/imatrix"
)

// Hole is what an importance matrix lacks for one tensor.
type Hole struct {
	Tensor       string
	Kind         HoleKind
	Experts      []int  // NeverRouted: which
	Of           int    // NeverRouted: of how many
	Values, Want int64  // WrongSize: the entry's length, and the tensor's
	Filled       string // what stands in; empty where the reference's ways were kept
}

// HoleKind tells holes apart.
type HoleKind uint8

// The kinds of holes.
const (
	NoEntry     HoleKind = iota // the tensor has no entry
	WrongSize                   // its entry is of another length
	NeverRouted                 // no token reached some of its experts
)

var holeKinds = [...]string{"no entry", "wrong size", "never routed"}

// String names the kind.
func (k HoleKind) String() string { return holeKinds[k] }

// String is the hole in words.
func (h Hole) String() string {
	s := fmt.Sprintf("tensor %q: ", h.Tensor)
	switch h.Kind {
	case WrongSize:
		s += fmt.Sprintf("its entry in the importance matrix has %d values, want %d", h.Values, h.Want)
	case NeverRouted:
		s += fmt.Sprintf("no token reached %d of %d experts (%s)", len(h.Experts), h.Of, ranges(h.Experts))
	default:
		s += "no entry in the importance matrix"
	}
	if h.Filled != "" {
		s += "; " + h.Filled + " stands in"
	}
	return s
}

// ranges writes ascending numbers as 1, 4-7, 9.
func ranges(ns []int) string {
	var b strings.Builder
	for i := 0; i < len(ns); {
		last := i
		for last+1 < len(ns) && ns[last+1] == ns[last]+1 {
			last++
		}
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(strconv.Itoa(ns[i]))
		if last > i {
			b.WriteString("-" + strconv.Itoa(ns[last]))
		}
		i = last + 1
	}
	return b.String()
}

// add counts a target tensor.
func (c *Coverage) add(h *Hole, s gguf.Shape) {
	c.Targets++
	if h == nil || h.Kind == NeverRouted {
		c.Matched++
		if s.NE(2) > 1 {
			c.Experts += int(s.NE(2))
		}
	}
}

// entry is what the matrix has for tensor i, which it calls name, and what is wrong with that.
func (j *Job) entry(m *imatrix.Matrix, i int, name string) ([]float32, *Hole) {
	t := j.tensors[i]
	values, ok := m.Entry(name)
	want := t.Shape.NE(0) * t.Shape.NE(2)
	switch {
	case !ok:
		return nil, &Hole{Tensor: t.Name, Kind: NoEntry, Want: want}
	case int64(len(values)) != want:
		return nil, &Hole{Tensor: t.Name, Kind: WrongSize, Values: int64(len(values)), Want: want}
	}
	if idle, of := idleExperts(m, name, values, int(t.Shape.NE(2))); len(idle) > 0 {
		return values, &Hole{Tensor: t.Name, Kind: NeverRouted, Experts: idle, Of: of}
	}
	return values, nil
}

// idleExperts lists the experts that no token reached: by their counts, or in the older form, which has none, by
// values that are all zero.
func idleExperts(m *imatrix.Matrix, name string, values []float32, experts int) (idle []int, of int) {
	if counts := m.Counts(name); counts != nil {
		for e, n := range counts {
			if n == 0 {
				idle = append(idle, e)
			}
		}
		return idle, len(counts)
	}
	columns := len(values) / experts
	for e := range experts {
		zero := true
		for _, v := range values[e*columns : (e+1)*columns] {
			zero = zero && v == 0
		}
		if zero {
			idle = append(idle, e)
		}
	}
	return idle, experts
}
