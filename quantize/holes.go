package quantize

import (
	"fmt"
	"slices"
	"strings"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/gguf/names"
	"github.com/moeconv/moeconv/quantize/imatrix"
)

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
