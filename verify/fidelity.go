package verify

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/moeconv/moeconv/gguf"
)

// compared is one unit of the file held against the source's, over the rows of the sample.
type compared struct {
	errors, squares float64 // sums of (file-source)^2 and source^2
	own, dot        float64 // sums of file^2 and file*source
	rows            int
	off             []int // rows that are unlike the source's, the first of them
	offs            int   // all of them
	err             error
	skipped         bool
	again           *again      // nil where nothing is encoded again
	runs            []drawnRows // of a sample, as they were drawn; the last row, which is always in it, is not one
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

// cosine is that of the angle between file and source; 1 where both are zero.
func (c compared) cosine() float64 {
	if c.errors == 0 {
		return 1
	}
	if c.own == 0 || c.squares == 0 {
		return 0
	}
	return c.dot / math.Sqrt(c.own*c.squares)
}

// gain is the factor by which the source comes nearest to the file; 1 where both are zero.
func (c compared) gain() float64 {
	if c.squares == 0 {
		return 1
	}
	return c.dot / c.squares
}

// sound reports whether the unit lies within the bounds of its type.
func (c compared) sound(t gguf.Type) bool {
	b := toleranceOf(t)
	return c.nmse() <= b.nmse && c.cosine() >= b.cosine() && (c.squares == 0 || math.Abs(c.gain()-1) <= b.gain) && c.offs == 0
}

// audit is the comparison of a file with its source.
type audit struct {
	*Subject
	file    gguf.Source // the file while it is compared
	tensors []gguf.TensorInfo
	units   []unit      // whose tensors both sides have in the same shape
	first   map[int]int // of a tensor of the source: its first unit
	got     []compared
	sampler sampler
}

func newAudit(l *lineup, src gguf.Source) *audit {
	a := &audit{file: src, tensors: src.Tensors(), first: map[int]int{}, sampler: l.sampler}
	refs := map[string]int{}
	for i, t := range l.refs {
		refs[t.Name] = i
	}
	for i, t := range a.tensors {
		ref, ok := refs[t.Name]
		if !ok || !l.refs[ref].Shape.Equal(t.Shape) {
			continue
		}
		a.first[ref] = len(a.units)
		for _, u := range unitsOf(l.refs[ref : ref+1]) {
			u.tensor = i
			a.units = append(a.units, u)
			a.got = append(a.got, compared{skipped: !readable(t.Type) || !readable(l.refs[ref].Type)})
		}
	}
	a.encodeAgain(l)
	return a
}

// of reports whether the audit is src's.
func (a *audit) of(src gguf.Source) bool {
	return a != nil && slices.EqualFunc(a.tensors, src.Tensors(), func(x, y gguf.TensorInfo) bool {
		return x.Name == y.Name && x.Type == y.Type && x.Shape.Equal(y.Shape)
	})
}

// sound reports whether a unit is as it must be, or nothing is known of it.
func (a *audit) sound(i int) bool {
	c := a.got[i]
	return c.skipped || c.err != nil || c.sound(a.tensors[a.units[i].tensor].Type)
}

// audit is the comparison of s with its source, which is made for all files of a set together.
func (s *Subject) audit(ctx context.Context) (*audit, error) {
	l, err := s.lineup(ctx)
	if err != nil {
		return nil, err
	}
	a := *l.audits[s.Name]
	a.Subject = s
	return &a, nil
}

// checkFidelity compares every expert and every other tensor with the source's of the same name, and names what went
// wrong with those that are not alike.
func checkFidelity(ctx context.Context, s *Subject) Result {
	if s.Reference == nil {
		return NewResult(NotApplicable, "no source to compare with")
	}
	r := NewResult(Pass, "")
	s.compareNames(&r)
	a, err := s.audit(ctx)
	if err != nil {
		return failure(err)
	}
	findings, err := a.diagnose(ctx)
	if err != nil {
		return failure(err)
	}
	worst := a.report(&r, findings)
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
			r.Find(Problem{Tensor: t.Name, Expert: -1, Message: "the source has no such tensor", Damage: "foreign-tensor"})
		case shape.Equal(t.Shape):
		case shape.Equal(turned(t.Shape)):
			r.Find(Problem{Tensor: t.Name, Expert: -1, Message: fmt.Sprintf("transposed: shape %v, the source's is %v", t.Shape, shape), Damage: "transposed"})
		default:
			r.Find(Problem{Tensor: t.Name, Expert: -1, Message: fmt.Sprintf("shape %v, the source's is %v", t.Shape, shape), Damage: "shape"})
		}
	}
	for _, t := range s.Reference.Tensors() {
		if _, ok := ref[t.Name]; ok {
			r.Find(Problem{Tensor: t.Name, Expert: -1, Message: "missing; the source has it", Damage: "missing-tensor"})
		}
	}
}

// turned is a shape with its two innermost dimensions exchanged.
func turned(s gguf.Shape) gguf.Shape {
	s = s.Clone()
	if len(s) > 1 {
		s[0], s[1] = s[1], s[0]
	}
	return s
}

// faintRow is the size of a row's squares, relative to the mean of those before, below which nothing is said of the row:
// scales of blocks may be too small for a half.
const faintRow = 1e-3

// add takes in rows of ne0 values, the first of which is row of the unit.
func (c *compared) add(mine, theirs []float32, row, ne0 int, b tolerance) {
	for at := 0; at < len(mine); at += ne0 {
		var e, q, o, d float64
		y := theirs[at : at+ne0]
		for i, x := range mine[at : at+ne0] {
			f, g := float64(x), float64(y[i])
			e += (f - g) * (f - g)
			q += g * g
			o += f * f
			d += f * g
		}
		c.errors, c.squares, c.own, c.dot = c.errors+e, c.squares+q, c.own+o, c.dot+d
		c.rows++
		if !(e <= b.row()*q) && e > faintRow*c.squares/float64(c.rows) {
			if c.offs++; len(c.off) < maxOff {
				c.off = append(c.off, row+at/ne0)
			}
		}
	}
}

// maxOff is how many rows unlike the source's are remembered.
const maxOff = 8

// report files units beyond their bounds and describes the one nearest to it.
func (a *audit) report(r *Result, f findings) string {
	for _, p := range f.tensors {
		r.Find(p)
	}
	skipped, values, total := 0, 0.0, 0.0
	worst, share := "no tensor compared", -1.0
	for i, u := range a.units {
		t, c := a.tensors[u.tensor], a.got[i]
		total += float64(u.rows) * float64(t.Shape.NE(0))
		values += float64(c.rows) * float64(t.Shape.NE(0))
		switch {
		case c.skipped && integer(t.Type):
		case c.skipped:
			skipped++
		case c.err != nil:
			r.Find(Problem{Tensor: t.Name, Expert: u.expert, Message: c.err.Error(), Damage: "unreadable"})
		default:
			nmse, b := c.nmse(), toleranceOf(t.Type)
			a.noteExpert(t.Name, u.expert, nmse)
			key := "nmse_" + t.Type.String()
			r.figure(key, max(nmse, float64(r.Figures[key])))
			key = "cosine_" + t.Type.String()
			if old, ok := r.Figures[key]; !ok || c.cosine() < float64(old) {
				r.figure(key, c.cosine())
			}
			if ratio := nmse / b.nmse; ratio > share {
				share, r.Figure, r.Threshold = ratio, Number(nmse), Number(b.nmse)
				worst = fmt.Sprintf("largest relative error %.2g of %.2g allowed (%v, %s)", nmse, b.nmse, t.Type, Problem{Tensor: t.Name, Expert: u.expert, Message: "least alike"})
			}
			if !a.sound(i) {
				r.Find(a.problem(i, f.units[i]))
			}
		}
	}
	if skipped > 0 {
		r.Find(Problem{Expert: -1, warn: true, Message: fmt.Sprintf("%d tensors or experts were not compared: no decoder for their type", skipped)})
	}
	r.figure("compared_share", values/max(1, total))
	return worst + a.scope(values, total) + a.overall(r)
}

// scope says how much was compared.
func (a *audit) scope(values, total float64) string {
	if a.sampler.whole() {
		return "; all values compared"
	}
	return fmt.Sprintf("; %.3g of %.3g values compared (%.2g%%, seed %d)", values, total, 100*values/max(1, total), a.sampler.seed)
}

// problem says what is wrong with a unit.
func (a *audit) problem(i int, f finding) Problem {
	u, c := a.units[i], a.got[i]
	t := a.tensors[u.tensor]
	b := toleranceOf(t.Type)
	p := Problem{Tensor: t.Name, Expert: u.expert, Damage: f.damage}
	if p.Damage == "" {
		p.Damage = "values"
	}
	figures := fmt.Sprintf("squared error against the source is %.3g of its squares, %v may have %.2g; cosine %.4f", c.nmse(), t.Type, b.nmse, c.cosine())
	if c.nmse() <= b.nmse && c.offs == 0 {
		figures = fmt.Sprintf("values are %.4g times the source's, %v may differ by %.2g", c.gain(), t.Type, b.gain)
	}
	p.Message = figures
	if f.message != "" {
		p.Message = f.message + " (" + figures + ")"
	}
	return p
}
