package verify

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/gguf/names"
)

const (
	// maxDiagnosed is how many tensors with wrong values are examined; a file in which more are wrong is wrong in few ways.
	maxDiagnosed = 48
	// probeRows is how many rows of a unit hypotheses are tested on.
	probeRows = 16
	// sketchRows is how many of them experts are recognised by.
	sketchRows = 4
)

// finding is what a wrong unit is taken for.
type finding struct {
	damage  string // its name, empty where no hypothesis holds
	message string
	expert  int // the expert of the same tensor of the source whose values the unit holds; -1: none
}

// findings are what the audit makes of everything that is wrong: by unit, and of whole tensors.
type findings struct {
	units   map[int]finding
	tensors []Problem
}

// patient is one wrong unit under examination.
type patient struct {
	unit
	info   gguf.TensorInfo
	name   names.Name
	ref    int // the source's tensor of the same name
	got    compared
	rows   []int     // probed, within the unit
	mine   []float32 // their values
	accept float64   // squared error, relative to the values', below which a hypothesis holds
}

// columns is the length of a row.
func (p *patient) columns() int { return int(p.info.Shape.NE(0)) }

// examiner tests hypotheses on wrong units. It reads few rows of both sides, and a whole unit of the source where one
// fits into memory.
type examiner struct {
	*audit
	ctx    context.Context
	mine   reader
	theirs reader
	refs   []gguf.TensorInfo
	sketch map[string][]float32
}

// diagnose names the damage of units that lie beyond their bounds.
func (a *audit) diagnose(ctx context.Context) (findings, error) {
	out := findings{units: map[int]finding{}}
	x := &examiner{audit: a, ctx: ctx, mine: reader{src: a.Source}, theirs: reader{src: a.Reference}, refs: a.Reference.Tensors(), sketch: map[string][]float32{}}
	examined := 0
	for i := 0; i < len(a.units); {
		end := i + 1
		for end < len(a.units) && a.units[end].tensor == a.units[i].tensor {
			end++
		}
		var wrong []int
		for k := i; k < end; k++ {
			if !a.sound(k) {
				wrong = append(wrong, k)
			}
		}
		if len(wrong) > 0 && examined < maxDiagnosed {
			examined++
			for _, k := range wrong {
				f, err := x.examine(a.units[k], a.got[k])
				if err != nil {
					return out, err
				}
				out.units[k] = f
			}
			if p, ok := a.together(wrong, end-i, out.units); ok {
				out.tensors = append(out.tensors, p)
			}
		}
		i = end
	}
	return out, ctx.Err()
}

// examine tests one hypothesis after the other; the cheap and the likely ones first. A tensor that cannot be read for one
// was read for the comparison: the error is ctx's alone, others leave the unit without a name.
func (x *examiner) examine(u unit, got compared) (finding, error) {
	none := finding{expert: -1}
	p, err := x.admit(u, got)
	if err != nil {
		return none, x.ctx.Err()
	}
	for _, test := range []func(*patient) (finding, error){
		x.infinite, x.zeroed, x.scaled, x.otherExpert, x.otherTensor, x.rowsMoved, x.interleaved, x.blockScaled, x.offset, x.turnedAround, x.shifted, x.partly, x.alike,
	} {
		f, err := test(p)
		if err != nil {
			return none, x.ctx.Err()
		}
		if f.damage != "" {
			return f, nil
		}
	}
	return none, nil
}

// admit reads the rows of a unit that hypotheses are tested on.
func (x *examiner) admit(u unit, got compared) (*patient, error) {
	t := x.tensors[u.tensor]
	p := &patient{unit: u, info: t, name: names.Parse(t.Name), ref: gguf.Find(x.refs, t.Name), got: got}
	p.accept = min(0.85, max(1.5*toleranceOf(t.Type).nmse, 1e-6))
	p.rows = x.probed(u.rows)
	var err error
	p.mine, err = x.rowsOf(&x.mine, u.tensor, u.row, p.rows)
	return p, err
}

// probed are the rows that hypotheses are tested on: the same in all units of as many rows, which are held against each other.
func (x *examiner) probed(rows int) []int { return x.sampler.some("", probeRows, rows) }

// rowsOf reads single rows, counted from base.
func (x *examiner) rowsOf(r *reader, tensor, base int, rows []int) ([]float32, error) {
	var out []float32
	for _, row := range rows {
		if err := r.read(x.ctx, tensor, base+row, 1); err != nil {
			return nil, err
		}
		out = append(out, r.vals...)
	}
	return out, nil
}

// expected reads the same rows as p's of a unit of the source, each sent through where.
func (x *examiner) expected(p *patient, tensor, base int, where func(int) int) ([]float32, error) {
	rows := slices.Clone(p.rows)
	for i, r := range rows {
		rows[i] = where(r)
	}
	return x.rowsOf(&x.theirs, tensor, base, rows)
}

func same(r int) int { return r }

// holds reports whether the values are p's.
func (p *patient) holds(theirs []float32) bool {
	e, q := squares(p.mine[:min(len(p.mine), len(theirs))], theirs)
	return q > 0 && e <= p.accept*q
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

// infinite: some values are no numbers, and nothing can be told from sums with them.
func (x *examiner) infinite(p *patient) (finding, error) {
	if own := p.got.own; math.IsNaN(own) || math.IsInf(own, 0) {
		return finding{damage: "nan", message: "values are NaN or infinite", expert: -1}, nil
	}
	return finding{}, nil
}

// zeroed: all values are zero.
func (x *examiner) zeroed(p *patient) (finding, error) {
	if p.got.own == 0 {
		return finding{damage: "zeroed", message: "all values are zero, the source's are not", expert: -1}, nil
	}
	return finding{}, nil
}

// otherExpert: the values are another expert's of the same tensor.
func (x *examiner) otherExpert(p *patient) (finding, error) {
	if p.expert < 0 {
		return finding{}, nil
	}
	e, err := x.whose(p, p.ref)
	if err != nil || e < 0 || e == p.expert {
		return finding{}, err
	}
	return finding{damage: "other-expert", message: fmt.Sprintf("it holds the source's expert %d", e), expert: e}, nil
}

// whose is the expert of a tensor of the source that p holds, -1 for none; where several do, as after training with equal
// ones, p's own number is preferred.
func (x *examiner) whose(p *patient, tensor int) (int, error) {
	t := x.refs[tensor]
	n := expertsIn(t)
	if n == 0 {
		return -1, nil
	}
	head := p.rows[:min(sketchRows, len(p.rows))]
	table, ok := x.sketch[t.Name]
	if !ok {
		per := int(t.Shape.Rows()) / n
		for e := range n {
			rows, err := x.rowsOf(&x.theirs, tensor, e*per, head)
			if err != nil {
				return -1, err
			}
			table = append(table, rows...)
		}
		x.sketch[t.Name] = table
	}
	size := len(head) * p.columns()
	best, least := -1, p.accept
	for e := range n {
		err, sq := squares(p.mine[:size], table[e*size:][:size])
		if sq > 0 && err <= least*sq && (best != p.expert || err < least*sq) {
			best, least = e, err/sq
		}
	}
	return best, nil
}

// together says what the findings of a tensor's experts have in common.
func (a *audit) together(wrong []int, units int, found map[int]finding) (Problem, bool) {
	u := a.units[wrong[0]]
	if u.expert < 0 || len(wrong) < 2 {
		return Problem{}, false
	}
	p := Problem{Tensor: a.tensors[u.tensor].Name, Expert: -1}
	first := found[wrong[0]]
	if first.expert >= 0 && first.damage == "other-expert" {
		return a.moved(p, wrong, units, found)
	}
	for _, i := range wrong[1:] {
		if found[i].damage != first.damage {
			return p, false
		}
	}
	if first.damage == "" || len(wrong) < units {
		return p, false
	}
	p.Damage = first.damage
	p.Message = fmt.Sprintf("all %d experts: %s", len(wrong), first.message)
	return p, true
}

// moved describes experts that hold each other's values.
func (a *audit) moved(p Problem, wrong []int, units int, found map[int]finding) (Problem, bool) {
	shift, shifted, seen := -1, true, map[int]bool{}
	var pairs []string
	for _, i := range wrong {
		e, to := a.units[i].expert, found[i].expert
		if to < 0 {
			return p, false
		}
		d := (e - to + units) % units
		shifted = shifted && (shift < 0 || d == shift)
		shift, seen[to] = d, true
		if len(pairs) < 6 {
			pairs = append(pairs, fmt.Sprintf("%d holds %d", e, to))
		}
	}
	switch {
	case shifted && len(wrong) >= units-1:
		by := shift
		if by > units/2 {
			by -= units
		}
		p.Damage, p.Message = "experts-shifted", fmt.Sprintf("experts are shifted by %s: expert e holds the source's expert e%+d", count(by), -by)
	case len(seen) == len(wrong) && len(wrong) == 2:
		p.Damage = "experts-swapped"
		p.Message = fmt.Sprintf("experts %d and %d are swapped", a.units[wrong[0]].expert, a.units[wrong[1]].expert)
	case len(seen) == len(wrong):
		p.Damage, p.Message = "experts-permuted", fmt.Sprintf("experts are permuted: %d of %d, %v", len(wrong), units, pairs)
	default:
		return p, false
	}
	return p, true
}

// count is a small number in words, where people say it so.
func count(n int) string {
	switch n {
	case 1:
		return "one"
	case -1:
		return "minus one"
	}
	return fmt.Sprint(n)
}
