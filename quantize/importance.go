package quantize

import (
	"errors"
	"fmt"

	"github.com/moeconv/moeconv/quantize/imatrix"
)

// Coverage says how an importance matrix fits a job.
type Coverage struct {
	Targets int      // tensors to be quantized; output and token embedding, which no matrix needs to have, are not counted
	Matched int      // of these, those that have an entry of their own
	Experts int      // routed experts in them, counted in every tensor
	Holes   []Hole   // in the output's order
	Unused  []string // entries that name no tensor of the model
}

// Coverage is how the importance matrix fits; the zero value without one.
func (j *Job) Coverage() Coverage { return j.coverage }

// NeverRouted counts the experts that no token reached, in every tensor.
func (c Coverage) NeverRouted() int {
	n := 0
	for _, h := range c.Holes {
		n += len(h.Experts)
	}
	return n
}

// Lines says how the matrix fits, in one line and one for each hole; nothing without a matrix.
func (c Coverage) Lines() []string {
	if c.Targets == 0 && len(c.Unused) == 0 {
		return nil
	}
	out := []string{fmt.Sprintf("importance matrix: entries for %d of %d tensors to be quantized; %d of the %d experts in them never routed to; %d entries unused",
		c.Matched, c.Targets, c.NeverRouted(), c.Experts, len(c.Unused))}
	for _, h := range c.Holes {
		out = append(out, "importance matrix: "+h.String())
	}
	return out
}

// matchImportance gives every tensor to be encoded its entry, and collects what is wrong with the matrix. It fails, naming
// all of them, on entries of the wrong length, on tensors that must not be encoded without one, and on any hole where the
// options refuse holes.
func (j *Job) matchImportance(o Options) error {
	m := o.Imatrix
	if m.Len() == 0 {
		if n := len(j.assigned.Importance); n > 0 {
			t := j.tensors[j.index[j.assigned.Importance[0]]]
			return fmt.Errorf("quantize: %v of this model requires an importance matrix: %d tensors, the first is %q (%v)", j.scheme, n, t.Name, t.Type)
		}
		return nil
	}
	used := map[string]bool{}
	for i, t := range j.tensors {
		name := originalName(j.src, t.Name)
		used[name] = true
		if t.Type == j.items[i].from {
			continue
		}
		optional := isTokenEmbedding(t.Name) || t.Name == outputName
		values, hole := j.entry(m, i, name)
		if isTokenEmbedding(t.Name) && hole != nil && hole.Kind == WrongSize {
			hole.Kind = NoEntry // the reference ignores it, too
		}
		if hole != nil {
			values = o.ImatrixHoles.fill(m, hole, values, name, t.Shape)
			if !optional && t.Type.Quantized() {
				j.coverage.Holes = append(j.coverage.Holes, *hole)
			}
		}
		j.items[i].importance = values
		if !optional && t.Type.Quantized() {
			j.coverage.add(hole, t.Shape)
		}
	}
	for _, name := range m.Names() {
		if !used[name] {
			j.coverage.Unused = append(j.coverage.Unused, name)
		}
	}
	return j.checkHoles(m, o)
}

// checkHoles fails where a hole cannot be lived with.
func (j *Job) checkHoles(m *imatrix.Matrix, o Options) error {
	if len(j.coverage.Unused) == m.Len() {
		return fmt.Errorf("quantize: the importance matrix %s is of another model: none of its %d entries names a tensor", m.Name(), m.Len())
	}
	required := map[string]bool{}
	for _, name := range j.assigned.Importance {
		required[name] = true
	}
	var bad []error
	for _, h := range j.coverage.Holes {
		lacking := required[h.Tensor] && j.items[j.index[h.Tensor]].importance == nil
		switch {
		case h.Kind == WrongSize:
			bad = append(bad, errors.New(h.String()))
		case lacking:
			bad = append(bad, fmt.Errorf("tensor %q: %v cannot be encoded without an entry in the importance matrix", h.Tensor, j.tensors[j.index[h.Tensor]].Type))
		case o.ImatrixHoles == RefuseHoles:
			bad = append(bad, errors.New(h.String()))
		}
	}
	if len(bad) == 0 {
		return nil
	}
	return fmt.Errorf("quantize: %w (%d tensors in all)", errors.Join(bad...), len(bad))
}
