package convert

import (
	"fmt"
	"slices"

	"github.com/moeconv/moeconv/convert/family"
)

// newRows takes every o.Step-th row from o.From on, o.Count of them, of the innermost matrix.
func newRows(in view, o family.Rows) (view, error) {
	s := in.shape()
	if len(s) < 2 {
		return nil, fmt.Errorf("shape %v has no rows", s)
	}
	have := s[len(s)-2]
	step, count := max(1, o.Step), o.Count
	if count == 0 {
		count = (have - o.From + step - 1) / step
	}
	if o.From < 0 || count < 1 || o.From+(count-1)*step >= have {
		return nil, fmt.Errorf("shape %v does not have rows %d to %d", s, o.From, o.From+(count-1)*step)
	}
	dims := slices.Clone(s)
	dims[len(s)-2] = count
	return rowMap{[]view{in}, dims, max(1, in.units()*count/have), func(row, n int64) []segment {
		var out []segment
		for n > 0 {
			at := row % count
			k := min(n, count-at)
			out = append(out, segment{row: row/count*have + o.From + at*step, step: step, n: k, dst: row, stride: 1})
			row, n = row+k, n-k
		}
		return out
	}}, nil
}
