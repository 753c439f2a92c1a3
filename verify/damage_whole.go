package verify

import (
	"fmt"
	"math"

	"github.com/moeconv/moeconv/gguf"
)

// whole reads a unit of the source; nil where it would take more than a quarter of the memory.
func (x *examiner) whole(p *patient) ([]float32, error) {
	n := int64(p.unit.rows) * int64(p.columns())
	if 4*n > x.memory()/4 {
		return nil, nil
	}
	out := make([]float32, 0, n)
	step := stepOf(x.Reference, p.ref, x.refs[p.ref])
	for row := 0; row < p.unit.rows; row += step {
		if err := x.theirs.read(x.ctx, p.ref, p.row+row, min(step, p.unit.rows-row)); err != nil {
			return nil, err
		}
		out = append(out, x.theirs.vals...)
	}
	return out, nil
}

// turnedAround: the matrix is transposed.
func (x *examiner) turnedAround(p *patient) (finding, error) {
	rows, cols := p.unit.rows, p.columns()
	if rows < 2 {
		return finding{}, nil
	}
	all, err := x.whole(p)
	if all == nil || err != nil {
		return finding{}, err
	}
	// The values in the order of the columns, or taken for a matrix of the other shape and put in the order of its columns.
	for _, n := range [][2]int{{rows, cols}, {cols, rows}} {
		theirs := make([]float32, 0, len(p.mine))
		for _, r := range p.rows {
			for c := range cols {
				at := r*cols + c
				theirs = append(theirs, all[at%n[0]*n[1]+at/n[0]])
			}
		}
		if p.holds(theirs) {
			return finding{damage: "transposed", message: "transposed: its values are the source's in the order of the columns", expert: -1}, nil
		}
	}
	return finding{}, nil
}

// shifted: rows or columns are the source's, in other places.
func (x *examiner) shifted(p *patient) (finding, error) {
	if f, err := x.columnsShifted(p); f.damage != "" || err != nil {
		return f, err
	}
	all, err := x.whole(p)
	if all == nil || err != nil || p.unit.rows < 2 {
		return finding{}, err
	}
	shift, constant, moved := 0, true, 0
	for i, r := range p.rows {
		at := nearestRow(p.mine[i*p.columns():][:p.columns()], all, p.accept)
		if at < 0 {
			return finding{}, nil
		}
		d := (at - r + p.unit.rows) % p.unit.rows
		constant = constant && (i == 0 || d == shift)
		shift = d
		if d != 0 {
			moved++
		}
	}
	switch {
	case moved == 0:
		return finding{}, nil
	case constant:
		if shift > p.unit.rows/2 {
			shift -= p.unit.rows
		}
		return finding{damage: "rows-shifted", message: fmt.Sprintf("rows are shifted by %s: row r holds the source's row r%+d", count(-shift), shift), expert: -1}, nil
	}
	return finding{damage: "rows-permuted", message: "rows are the source's in another order", expert: -1}, nil
}

// nearestRow is the row of all that x is, within a relative squared error; -1 for none.
func nearestRow(x, all []float32, accept float64) int {
	best, least := -1, math.Inf(1)
	for at := 0; at < len(all); at += len(x) {
		if e, q := squares(x, all[at:at+len(x)]); q > 0 && e <= accept*q && e/q < least {
			best, least = at/len(x), e/q
		}
	}
	return best
}

// columnsShifted: the columns are moved by a step that blocks, heads and off-by-one errors make.
func (x *examiner) columnsShifted(p *patient) (finding, error) {
	theirs, err := x.expected(p, p.ref, p.row, same)
	if err != nil {
		return finding{}, err
	}
	n := p.columns()
	moved := make([]float32, len(theirs))
	for _, d := range []int{1, 2, 4, 8, 16, 32, 64, 128, 256, n / 4, n / 2} {
		for _, by := range []int{d, n - d} {
			if by <= 0 || by >= n {
				continue
			}
			for i := range moved {
				moved[i] = theirs[i/n*n+(i%n+by)%n]
			}
			if !p.holds(moved) {
				continue
			}
			if by > n/2 {
				by -= n
			}
			return finding{damage: "columns-shifted", message: fmt.Sprintf("columns are shifted by %s: column c holds the source's column c%+d", count(-by), by), expert: -1}, nil
		}
	}
	return finding{}, nil
}

// readersOf makes n readers of src.
func readersOf(src gguf.Source, n int) []reader {
	out := make([]reader, n)
	for i := range out {
		out[i].src = src
	}
	return out
}
