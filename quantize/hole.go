package quantize

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/gguf/names"
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

// Holes says what stands in for what an importance matrix lacks.
type Holes uint8

// The ways of dealing with holes.
const (
	// ReferenceHoles is llama-quantize's way: an expert that no token reached weighs all columns alike (in the older form: as
	// stored), a tensor without entry is encoded without weights.
	ReferenceHoles Holes = iota
	// MeanHoles gives such an expert the mean of the tensor's other experts.
	MeanHoles
	// NeighbourHoles does, too, and gives a tensor without entry that of a tensor with the same input (gate and up;
	// query, key and value), or else, where the input is the residual stream, that of the same tensor in the nearest block.
	NeighbourHoles
	// RefuseHoles makes every hole an error.
	RefuseHoles
)

var holesNames = []string{"reference", "mean", "neighbour", "refuse"}

// ParseHoles finds a way of dealing with holes by its name.
func ParseHoles(name string) (Holes, error) {
	for i, n := range holesNames {
		if n == name {
			return Holes(i), nil
		}
	}
	return 0, fmt.Errorf("quantize: holes of importance matrices: %q is none of %s", name, strings.Join(holesNames, ", "))
}

// fill is values with what stands in for a hole, which it notes there.
func (p Holes) fill(m *imatrix.Matrix, h *Hole, values []float32, name string, s gguf.Shape) []float32 {
	switch {
	case h.Kind == NeverRouted && (p == MeanHoles || p == NeighbourHoles) && len(h.Experts) < h.Of:
		h.Filled = "the mean of the others"
		return fillMean(values, h.Experts, h.Of)
	case h.Kind == NoEntry && p == NeighbourHoles:
		from, found := neighbour(m, names.Parse(name), h.Want)
		if found == nil {
			return nil
		}
		h.Filled = from
		if idle, of := idleExperts(m, from, found, int(s.NE(2))); len(idle) > 0 && len(idle) < of {
			found = fillMean(found, idle, of)
		}
		return found
	}
	return values
}

// fillMean is values with those of idle experts replaced by the mean over the others.
func fillMean(values []float32, idle []int, experts int) []float32 {
	out := append([]float32(nil), values...)
	columns := len(values) / experts
	mean := make([]float64, columns)
	skip := make([]bool, experts)
	for _, e := range idle {
		skip[e] = true
	}
	for e := range experts {
		for c := 0; c < columns && !skip[e]; c++ {
			mean[c] += float64(values[e*columns+c])
		}
	}
	for _, e := range idle {
		for c := range columns {
			out[e*columns+c] = float32(mean[c] / float64(experts-len(idle)))
		}
	}
	return out
}

// sameInput are roles whose tensors of one block multiply the same activations: the residual stream, normed.
var sameInput = [][]names.Role{
	{names.AttnQ, names.AttnK, names.AttnV}, {"attn_qkv"}, {"attn_q_a", "attn_kv_a_mqa"},
	{names.FFNGate, names.FFNUp}, {names.FFNGateExps, names.FFNUpExps}, {names.FFNGateUpExps}, {names.FFNGateShexp, names.FFNUpShexp},
}

// neighbour finds an entry of the given length that may stand in for the tensor n.
func neighbour(m *imatrix.Matrix, n names.Name, want int64) (string, []float32) {
	try := func(role names.Role, block int) (string, []float32) {
		name := names.Name{Role: role, Block: block, Suffix: n.Suffix}.String()
		if v, ok := m.Entry(name); ok && int64(len(v)) == want {
			return name, v
		}
		return "", nil
	}
	for _, group := range sameInput {
		if n.Block < 0 || !slices.Contains(group, n.Role) {
			continue
		}
		for _, role := range group {
			if name, v := try(role, n.Block); v != nil {
				return name, v
			}
		}
		for d := 1; d <= m.Len(); d++ { // blocks have consecutive numbers and more than one entry each
			for _, b := range []int{n.Block - d, n.Block + d} {
				if name, v := try(n.Role, b); b >= 0 && v != nil {
					return name, v
				}
			}
		}
	}
	return "", nil
}
