package verify

import (
	"fmt"
	"math"
)

// scaled: the values are a multiple of the source's.
func (x *examiner) scaled(p *patient) (finding, error) {
	c := p.got
	if c.squares == 0 || c.dot == 0 {
		return finding{}, nil
	}
	left := 1 - c.dot*c.dot/(c.own*c.squares) // squared error about the best multiple
	if left > p.accept || c.offs > 0 && c.offs < c.rows/2 {
		return finding{}, nil
	}
	f := finding{damage: "scale", expert: -1, message: fmt.Sprintf("wrong scale: the values are %.4g times the source's", c.gain())}
	if math.Abs(c.gain()-1) <= toleranceOf(p.info.Type).gain {
		return finding{}, nil
	}
	return f, nil
}

// blockLengths are columns that share a scale in quantized checkpoints and in files.
var blockLengths = []int{256, 128, 64, 32, 16}

// blockScaled: blocks of the values are different multiples of the source's.
func (x *examiner) blockScaled(p *patient) (finding, error) {
	theirs, err := x.expected(p, p.ref, p.row, same)
	if err != nil || p.info.Type.BitsPerWeight() < 3 { // scales of two bits differ from the source's by themselves
		return finding{}, err
	}
	for _, n := range blockLengths {
		if p.columns()%n != 0 {
			continue
		}
		var left, total float64
		least, most := math.Inf(1), math.Inf(-1)
		for at := 0; at < len(theirs); at += n {
			var d, q, o float64
			for i, v := range theirs[at : at+n] {
				f, g := float64(p.mine[at+i]), float64(v)
				d, q, o = d+f*g, q+g*g, o+f*f
			}
			total += o
			if q == 0 {
				left += o
				continue
			}
			left += o - d*d/q
			least, most = min(least, d/q), max(most, d/q)
		}
		if total > 0 && left <= p.accept*total && least > 0 && most > 1.5*least {
			return finding{damage: "scale", expert: -1, message: fmt.Sprintf("wrong scale in blocks of %d columns: from %.3g to %.3g times the source's", n, least, most)}, nil
		}
	}
	return finding{}, nil
}

// offset: a constant was added, or was not.
func (x *examiner) offset(p *patient) (finding, error) {
	theirs, err := x.expected(p, p.ref, p.row, same)
	if err != nil || len(theirs) < 2 {
		return finding{}, err
	}
	var mean, q float64
	for i, v := range theirs {
		mean += float64(p.mine[i]) - float64(v)
		q += float64(v) * float64(v)
	}
	mean /= float64(len(theirs))
	var left float64
	for i, v := range theirs {
		d := float64(p.mine[i]) - float64(v) - mean
		left += d * d
	}
	if q == 0 || left > p.accept*q || left > 0.1*mean*mean*float64(len(theirs)) {
		return finding{}, nil
	}
	return finding{damage: "offset", expert: -1, message: fmt.Sprintf("the values are the source's plus %.4g", mean)}, nil
}

// partly: some rows are the source's and some are not.
func (x *examiner) partly(p *patient) (finding, error) {
	c := p.got
	if c.offs == 0 || c.offs > c.rows*3/4 {
		return finding{}, nil
	}
	what := "are not the source's"
	mine, err := x.rowsOf(&x.mine, p.tensor, p.row, c.off)
	if err != nil {
		return finding{}, err
	}
	if _, q := squares(mine, mine); q == 0 {
		what = "are zero"
	}
	return finding{damage: "rows", expert: -1, message: fmt.Sprintf("%d of %d rows compared %s, the first are %v", c.offs, c.rows, what, c.off)}, nil
}

// alike says how near values are that no hypothesis explains.
func (x *examiner) alike(p *patient) (finding, error) {
	f := finding{damage: "values", expert: -1}
	switch cos := p.got.cosine(); {
	case cos > 0.7:
		f.message = "alike, but not the same: values of another version of the model, or encoded wrongly"
	case math.Abs(cos) < 0.1:
		f.message = "unrelated to the source"
	default:
		f.message = "not the source's"
	}
	return f, nil
}
