package convert

import (
	"fmt"
	"slices"
)

// newSwap exchanges the second- and the third-innermost dimension: its rows stay what they are.
func newSwap(in view) (view, error) {
	dims := slices.Clone(in.shape())
	n := len(dims)
	if n < 3 {
		return nil, fmt.Errorf("shape %v has no two dimensions of rows to swap", dims)
	}
	dims[n-2], dims[n-3] = dims[n-3], dims[n-2]
	many, few := dims[n-3], dims[n-2] // row i*few+j of the output is row j*many+i of the input
	return rowMap{[]view{in}, dims, 1, func(row, n int64) []segment {
		var out []segment
		for n > 0 {
			whole, at := row/(many*few)*many*few, row%(many*few)
			i, j := at/few, at%few
			k := min(n, few-j)
			for r := range k {
				out = append(out, segment{row: whole + (j+r)*many + i, step: 1, n: 1, dst: row + r, stride: 1})
			}
			row, n = row+k, n-k
		}
		return out
	}}, nil
}
