package quantize

import (
	"fmt"

	"github.com/moeconv/moeconv/quantize/imatrix"
)

// Coverage says how an importance matrix fits a job.
type Coverage struct {
	Matched int      // tensors encoded with an entry
	Holes   []string // tensors to be quantized that the matrix has no entry for; output and token embedding usually are among them
	Unused  []string // entries that name no tensor of the model
}

// Coverage is how the importance matrix fits; the zero value without one.
func (j *Job) Coverage() Coverage { return j.coverage }

// matchImportance gives every tensor to be encoded its entry. It fails on entries of the wrong length and on
// tensors that must not be encoded without one.
func (j *Job) matchImportance(m *imatrix.Matrix) error {
	if len(j.assigned.Importance) > 0 && m.Len() == 0 {
		t := j.tensors[j.index[j.assigned.Importance[0]]]
		return fmt.Errorf("quantize: %v of this model requires an importance matrix: %d tensors, the first is %q (%v)",
			j.scheme, len(j.assigned.Importance), t.Name, t.Type)
	}
	if m.Len() == 0 {
		return nil
	}
	for i, t := range j.tensors {
		if t.Type == j.items[i].from {
			continue
		}
		values, ok := m.Entry(t.Name)
		if want := t.Shape.NE(0) * t.Shape.NE(2); ok && int64(len(values)) != want {
			if !isTokenEmbedding(t.Name) {
				return fmt.Errorf("quantize: tensor %q: its entry in the importance matrix has %d values, want %d", t.Name, len(values), want)
			}
			ok = false
		}
		switch {
		case ok:
			j.items[i].importance = values
			j.coverage.Matched++
		case t.Type.Quantized():
			j.coverage.Holes = append(j.coverage.Holes, t.Name)
		}
	}
	for _, name := range m.Names() {
		if _, ok := j.index[name]; !ok {
			j.coverage.Unused = append(j.coverage.Unused, name)
		}
	}
	return j.checkHoles(m)
}

func (j *Job) checkHoles(m *imatrix.Matrix) error {
	var missing []string
	for _, name := range j.assigned.Importance {
		if j.items[j.index[name]].importance == nil {
			missing = append(missing, name)
		}
	}
	switch {
	case len(missing) > 0:
		t := j.tensors[j.index[missing[0]]]
		return fmt.Errorf("quantize: tensor %q: %v cannot be encoded without an entry in the importance matrix (%d tensors lack one)", t.Name, t.Type, len(missing))
	case len(j.coverage.Unused) == m.Len():
		return fmt.Errorf("quantize: the importance matrix %s is of another model: none of its %d entries names a tensor", m.Name(), m.Len())
	}
	return nil
}
