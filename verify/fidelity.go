package verify

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/gguf/names"
)

// maxNMSE bounds the squared error of a tensor against its source, relative to the source's squares. Sound encodings
// stay several times below; a wrong expert, a swapped or shifted one has about 2, a missing one 1.
var maxNMSE = map[gguf.Type]float64{
	gguf.F32: 1e-12, gguf.F16: 1e-5, gguf.BF16: 1e-4, gguf.Q8_0: 1e-3,
	gguf.Q6_K: 5e-3, gguf.Q5_K: 0.01, gguf.Q5_0: 0.01, gguf.Q5_1: 0.01,
	gguf.Q4_K: 0.05, gguf.Q4_0: 0.05, gguf.Q4_1: 0.05,
	gguf.Q3_K: 0.12, gguf.Q2_K: 0.3,
}

// nmseBound is the bound of a type that is not in the table: by its bits.
func nmseBound(t gguf.Type) float64 {
	if b, ok := maxNMSE[t]; ok {
		return b
	}
	switch bits := t.BitsPerWeight(); {
	case bits >= 4:
		return 0.05
	case bits >= 3:
		return 0.15
	case bits >= 2:
		return 0.4
	}
	return 0.6
}

// compared is one unit of the file held against the source's.
type compared struct {
	errors, squares float64
	err             error
	skipped         bool
	match           string // what of the source the unit holds instead
}

func (c compared) nmse() float64 {
	switch {
	case c.errors == 0:
		return 0
	case c.squares == 0:
		return 1
	}
	return c.errors / c.squares
}

// checkFidelity compares every expert and every other tensor with the source's of the same name.
func checkFidelity(ctx context.Context, s *Subject) Result {
	if s.Reference == nil {
		return NewResult(NotApplicable, "no source to compare with")
	}
	r := NewResult(Pass, "")
	s.compareNames(&r)
	tensors := s.Source.Tensors()
	units := s.comparable(tensors)
	got := make([]compared, len(units))
	mine, theirs := s.readers(s.Source), s.readers(s.Reference)
	var done atomic.Int64
	report := s.progress("fidelity")
	err := each(ctx, len(units), len(mine), func(w, i int) error {
		got[i] = s.compareUnit(ctx, &mine[w], &theirs[w], units[i])
		report(done.Add(1), int64(len(units)))
		return ctx.Err()
	})
	if err != nil {
		return failure(err)
	}
	worst := s.reportCompared(&r, tensors, units, got)
	r.summarize(worst)
	return r
}

// compareNames files tensors that only one side has, or has in another shape.
func (s *Subject) compareNames(r *Result) {
	ref := map[string]gguf.Shape{}
	for _, t := range s.Reference.Tensors() {
		ref[t.Name] = t.Shape
	}
	for _, t := range s.Source.Tensors() {
		shape, ok := ref[t.Name]
		delete(ref, t.Name)
		switch {
		case !ok:
			r.Find(Problem{Tensor: t.Name, Expert: -1, Message: "the source has no such tensor"})
		case !shape.Equal(t.Shape):
			r.Find(Problem{Tensor: t.Name, Expert: -1, Message: fmt.Sprintf("shape %v, the source's is %v", t.Shape, shape)})
		}
	}
	for _, t := range s.Reference.Tensors() {
		if _, ok := ref[t.Name]; ok {
			r.Find(Problem{Tensor: t.Name, Expert: -1, Message: "missing; the source has it"})
		}
	}
}

// comparable lists the units whose tensors both sides have in the same shape.
func (s *Subject) comparable(tensors []gguf.TensorInfo) []unit {
	var out []unit
	for _, u := range unitsOf(tensors) {
		t := tensors[u.tensor]
		if i := gguf.Find(s.Reference.Tensors(), t.Name); i >= 0 && s.Reference.Tensors()[i].Shape.Equal(t.Shape) {
			out = append(out, u)
		}
	}
	return out
}

func (s *Subject) compareUnit(ctx context.Context, mine, theirs *reader, u unit) compared {
	t := s.Source.Tensors()[u.tensor]
	ref := gguf.Find(s.Reference.Tensors(), t.Name)
	if !readable(t.Type) || !readable(s.Reference.Tensors()[ref].Type) {
		return compared{skipped: true}
	}
	var c compared
	step := max(mine.step(u.tensor, t), theirs.step(ref, s.Reference.Tensors()[ref]))
	for row := u.row; row < u.row+u.rows && c.err == nil; row += step {
		n := min(step, u.row+u.rows-row)
		if c.err = mine.read(ctx, u.tensor, row, n); c.err == nil {
			c.err = theirs.read(ctx, ref, row, n)
		}
		if c.err == nil {
			e, q := squares(mine.vals, theirs.vals)
			c.errors += e
			c.squares += q
		}
	}
	if bound := nmseBound(t.Type); c.err == nil && !(c.nmse() <= bound) && u.expert >= 0 {
		c.match = s.whose(ctx, mine, theirs, u, bound)
	}
	return c
}

// squares sums (a-b)^2 and b^2.
func squares(a, b []float32) (errors, squares float64) {
	for i := range a {
		d := float64(a[i]) - float64(b[i])
		errors += d * d
		squares += float64(b[i]) * float64(b[i])
	}
	return errors, squares
}

// siblings are roles whose experts have the same shape and get swapped.
var siblings = map[names.Role]names.Role{names.FFNGateExps: names.FFNUpExps, names.FFNUpExps: names.FFNGateExps}

// whose looks for the expert of the source that a wrong expert's first rows belong to; empty when there is none.
func (s *Subject) whose(ctx context.Context, mine, theirs *reader, u unit, bound float64) string {
	const probeRows = 8
	n := min(probeRows, u.rows)
	if mine.read(ctx, u.tensor, u.row, n) != nil {
		return ""
	}
	name := names.Parse(s.Source.Tensors()[u.tensor].Name)
	candidates := []names.Name{name}
	if role, ok := siblings[name.Role]; ok {
		candidates = append(candidates, names.Name{Role: role, Block: name.Block, Suffix: name.Suffix})
	}
	for _, c := range candidates {
		i := gguf.Find(s.Reference.Tensors(), c.String())
		if i < 0 || s.Reference.Tensors()[i].Shape.NE(0) != s.Source.Tensors()[u.tensor].Shape.NE(0) {
			continue
		}
		for e := range expertsIn(s.Reference.Tensors()[i]) {
			if c == name && e == u.expert {
				continue
			}
			if theirs.read(ctx, i, e*u.rows, n) != nil {
				return ""
			}
			if err, sq := squares(mine.vals, theirs.vals); sq > 0 && err <= bound*sq {
				return fmt.Sprintf("it holds the source's expert %d of %q", e, c.String())
			}
		}
	}
	return ""
}

// reportCompared files units beyond their bound and describes the one nearest to it.
func (s *Subject) reportCompared(r *Result, tensors []gguf.TensorInfo, units []unit, got []compared) string {
	skipped, worst, share := 0, "no tensor compared", -1.0
	for i, u := range units {
		t, c := tensors[u.tensor], got[i]
		bound := nmseBound(t.Type)
		switch {
		case c.skipped && integer(t.Type):
		case c.skipped:
			skipped++
		case c.err != nil:
			r.Find(Problem{Tensor: t.Name, Expert: u.expert, Message: c.err.Error()})
		default:
			nmse := c.nmse()
			s.noteExpert(t.Name, u.expert, nmse)
			key := "nmse_" + t.Type.String()
			r.figure(key, max(nmse, float64(r.Figures[key])))
			if ratio := nmse / bound; ratio > share {
				share, r.Figure, r.Threshold = ratio, Number(nmse), Number(bound)
				worst = fmt.Sprintf("largest relative error %.2g of %.2g allowed (%v, %s)", nmse, bound, t.Type, Problem{Tensor: t.Name, Expert: u.expert, Message: "least alike"})
			}
			if !(nmse <= bound) {
				msg := fmt.Sprintf("squared error against the source is %.3g of its squares, %v may have %.2g", nmse, t.Type, bound)
				if c.match != "" {
					msg += ": " + c.match
				}
				r.Find(Problem{Tensor: t.Name, Expert: u.expert, Message: msg})
			}
		}
	}
	if skipped > 0 {
		r.Find(Problem{Expert: -1, warn: true, Message: fmt.Sprintf("%d tensors or experts were not compared: no decoder for their type", skipped)})
	}
	return worst
}
