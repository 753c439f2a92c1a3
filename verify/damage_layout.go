package verify

import (
	"fmt"
	"slices"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/gguf/names"
)

// partners are roles whose tensors have one shape and get swapped.
var partners = map[names.Role]names.Role{
	names.FFNGateExps: names.FFNUpExps, names.FFNUpExps: names.FFNGateExps,
	names.FFNGate: names.FFNUp, names.FFNUp: names.FFNGate,
	names.FFNGateShexp: names.FFNUpShexp, names.FFNUpShexp: names.FFNGateShexp,
}

// otherTensor: the values are those of another tensor of the source, of the same block or of the same role.
func (x *examiner) otherTensor(p *patient) (finding, error) {
	partner := names.Name{Role: partners[p.name.Role], Block: p.name.Block, Suffix: p.name.Suffix}.String()
	var order []int
	for i, t := range x.refs {
		n := names.Parse(t.Name)
		switch {
		case i == p.ref || t.Shape.NE(0) != p.info.Shape.NE(0) || !readable(t.Type) || rowsOfUnit(t) != p.unit.rows:
		case t.Name == partner:
			order = slices.Insert(order, 0, i)
		case n.Block == p.name.Block || n.Role == p.name.Role && n.Suffix == p.name.Suffix:
			order = append(order, i)
		}
	}
	for _, i := range order {
		e, err := x.matches(p, i)
		if err != nil {
			return finding{}, err
		}
		if e == noMatch {
			continue
		}
		return x.misplaced(p, i, e, partner), nil
	}
	return finding{}, nil
}

// noMatch, and a match of a tensor that has no experts.
const (
	noMatch   = -2
	noExperts = -1
)

// matches finds p's values in a tensor of the source.
func (x *examiner) matches(p *patient, i int) (int, error) {
	if expertsIn(x.refs[i]) > 0 && p.expert >= 0 {
		e, err := x.whose(p, i)
		if e < 0 {
			e = noMatch
		}
		return e, err
	}
	if expertsIn(x.refs[i]) > 0 {
		return noMatch, nil
	}
	theirs, err := x.expected(p, i, 0, same)
	if err != nil || !p.holds(theirs) {
		return noMatch, err
	}
	return noExperts, nil
}

// misplaced words a match in another tensor.
func (x *examiner) misplaced(p *patient, i, e int, partner string) finding {
	t := x.refs[i]
	n := names.Parse(t.Name)
	what := fmt.Sprintf("it holds the source's %q", t.Name)
	if e >= 0 {
		what = fmt.Sprintf("it holds the source's expert %d of %q", e, t.Name)
	}
	f := finding{damage: "other-tensor", message: what, expert: -1}
	switch {
	case t.Name == partner && (e == p.expert || e < 0):
		f.damage, f.message = "gate-up-swapped", "gate and up swapped: "+what
	case n.Role == p.name.Role && n.Block != p.name.Block:
		f.damage, f.message = "other-layer", "of another layer: "+what
	}
	return f
}

// rowsOfUnit is the rows of a tensor's units.
func rowsOfUnit(t gguf.TensorInfo) int {
	return int(t.Shape.Rows()) / max(1, expertsIn(t))
}

// rowMap sends the row of a file to the row of the source whose values it holds.
type rowMap struct {
	damage, what string
	at           func(row int) int
}

// rowsMoved: the rows are the source's in an order that conversions make: rotary pairs, halves, interleaved parts.
func (x *examiner) rowsMoved(p *patient) (finding, error) {
	if p.unit.rows < 2 {
		return finding{}, nil
	}
	for _, m := range x.rowMaps(p) {
		theirs, err := x.expected(p, p.ref, p.row, m.at)
		if err != nil {
			return finding{}, err
		}
		if p.holds(theirs) {
			return finding{damage: m.damage, message: m.what, expert: -1}, nil
		}
	}
	return finding{}, nil
}

func (x *examiner) rowMaps(p *patient) []rowMap {
	rows := p.unit.rows
	out := []rowMap{{"rows-reversed", "rows are in reverse order", func(r int) int { return rows - 1 - r }}}
	if names.ClassOf(p.info.Name) == names.Attention {
		out = append(out, x.ropeMaps(rows)...)
	}
	if rows%2 == 0 {
		halves := rowMap{"halves-swapped", "its halves are swapped", func(r int) int { return (r + rows/2) % rows }}
		if p.name.Role == names.FFNGateUpExps {
			halves.damage, halves.what = "gate-up-swapped", "gate and up swapped: its halves are"
		}
		out = append(out, halves,
			rowMap{"layout", "wrong layout: its halves are interleaved", func(r int) int { return r/2 + r%2*(rows/2) }},
			rowMap{"layout", "wrong layout: even and odd rows are set apart", func(r int) int { return r%(rows/2)*2 + r/(rows/2) }})
	}
	return out
}

// ropeMaps are the two ways to put rotary pairs, each taken for the other, for every size of heads and of their rotated
// part that the metadata allow.
func (x *examiner) ropeMaps(rows int) []rowMap {
	md := x.Source.Metadata()
	value := func(key string) int { n, _ := md.Int(md.ModelKey(key)); return int(n) }
	rot, heads := value("rope.dimension_count"), value("attention.head_count")
	sizes := []int{value("attention.key_length"), value("attention.key_length_mla"), rows}
	if heads > 0 {
		sizes = append(sizes, value("embedding_length")/heads, rows/heads)
	}
	if kv := value("attention.head_count_kv"); kv > 0 {
		sizes = append(sizes, rows/kv)
	}
	slices.Sort(sizes)
	var out []rowMap
	for _, head := range slices.Compact(sizes) {
		if head < 2 || rows%head != 0 {
			continue
		}
		parts := []span{{0, head}, {0, rot}, {head - rot, rot}}
		for _, part := range parts {
			if part.n >= 4 && part.n <= head && part.n%2 == 0 && part.row >= 0 {
				out = append(out, ropeMap(head, part, true), ropeMap(head, part, false))
			}
		}
	}
	return out
}

// ropeMap exchanges [x0 y0 x1 y1 ..] and [x0 x1 .. y0 y1 ..] in a part of each head.
func ropeMap(head int, part span, paired bool) rowMap {
	half := part.n / 2
	how := "split into halves where they should be side by side"
	if paired {
		how = "side by side where they should be split into halves"
	}
	m := rowMap{damage: "rope-permutation", what: fmt.Sprintf("wrong rope permutation: the rotary pairs of heads of %d rows are %s", head, how)}
	m.at = func(r int) int {
		in := r%head - part.row
		if in < 0 || in >= part.n {
			return r
		}
		to := in/2 + in%2*half
		if !paired {
			to = in%half*2 + in/half
		}
		return r - in + to
	}
	return m
}

// interleaved: gate and up are halves of a tensor whose rows alternate between them.
func (x *examiner) interleaved(p *patient) (finding, error) {
	partner := gguf.Find(x.refs, names.Name{Role: partners[p.name.Role], Block: p.name.Block, Suffix: p.name.Suffix}.String())
	if partner < 0 || !x.refs[partner].Shape.Equal(p.info.Shape) || p.unit.rows < 4 {
		return finding{}, nil
	}
	gate, up, first := p.ref, partner, 0
	if p.name.Role == names.FFNUpExps || p.name.Role == names.FFNUp || p.name.Role == names.FFNUpShexp {
		gate, up, first = partner, p.ref, p.unit.rows
	}
	var theirs []float32
	for _, r := range p.rows {
		both := first + r
		from := gate
		if both%2 == 1 {
			from = up
		}
		row, err := x.rowsOf(&x.theirs, from, p.row, []int{both / 2})
		if err != nil {
			return finding{}, err
		}
		theirs = append(theirs, row...)
	}
	if !p.holds(theirs) {
		return finding{}, nil
	}
	return finding{damage: "layout", message: "wrong layout: gate and up were not taken apart, their rows alternate", expert: -1}, nil
}
