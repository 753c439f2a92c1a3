package convert

import (
	"fmt"
	"slices"

	"github.com/moeconv/moeconv/convert/family"
)

// newJoin puts what each op makes of the tensor one below the other.
func newJoin(in view, o family.Join) (view, error) {
	if len(o) == 0 {
		return nil, fmt.Errorf("nothing to join")
	}
	m := rowMap{ins: make([]view, len(o))}
	ends := make([]int64, len(o)) // the row behind each input's last
	for i, part := range o {
		v, err := apply(part, in)
		if err != nil {
			return nil, err
		}
		m.ins[i] = v
		s := v.shape()
		if len(s) < 2 {
			return nil, fmt.Errorf("shape %v has no rows to join", s)
		}
		if i == 0 {
			m.dims, m.unit = slices.Clone(s), v.units()
			ends[0] = rowsIn(s)
			continue
		}
		if !slices.Equal(s[1:], m.dims[1:]) || v.elem() != m.ins[0].elem() {
			return nil, fmt.Errorf("shapes %v and %v cannot be joined", m.dims, s)
		}
		m.dims[0] += s[0]
		m.unit = min(m.unit, v.units())
		ends[i] = ends[i-1] + rowsIn(s)
	}
	m.segments = func(row, n int64) []segment { return joined(ends, row, n) }
	return m, nil
}

// joined cuts n rows from row on where one input ends and the next begins.
func joined(ends []int64, row, n int64) []segment {
	var out []segment
	var start int64
	for i, end := range ends {
		if k := min(n, end-row); k > 0 {
			out = append(out, segment{src: i, row: row - start, step: 1, n: k, dst: row, stride: 1})
			row, n = row+k, n-k
		}
		start = end
	}
	return out
}
