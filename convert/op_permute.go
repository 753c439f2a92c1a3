package convert

import "fmt"

// newPermuteRope reorders the rows of each attention head: the checkpoint has the first elements of all
// rotated pairs and then the second ones, the file has them side by side.
func newPermuteRope(in view, heads int64) (view, error) {
	rows := rowsIn(in.shape())
	if heads < 1 || rows%(2*heads) != 0 {
		return nil, fmt.Errorf("%d rows are not %d heads of an even size", rows, heads)
	}
	head := rows / heads
	return rowMap{[]view{in}, in.shape(), head, func(row, n int64) []segment { return permuteSegments(head, row, n) }}, nil
}

func permuteSegments(head, row, n int64) []segment {
	half := head / 2
	var out []segment
	for n > 0 {
		in := row % head
		base := row - in
		k := min(n, head-in)
		// Output row base+2i+j comes from source row base+j*half+i.
		for j := range int64(2) {
			first := (in - j + 1) / 2 // smallest i with 2i+j >= in
			last := (in + k - j + 1) / 2
			if last > first {
				out = append(out, segment{row: base + j*half + first, step: 1, n: last - first, dst: base + 2*first + j, stride: 2})
			}
		}
		row, n = row+k, n-k
	}
	return out
}
