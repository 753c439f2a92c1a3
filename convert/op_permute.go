package convert

import "fmt"

// permuteRope reorders the rows of each attention head: the checkpoint has the first elements of all
// rotated pairs and then the second ones, the file has them side by side.
type permuteRope struct{ head int64 } // rows of a head, even

func newPermuteRope(rows, heads int64) (op, error) {
	if heads < 1 || rows%(2*heads) != 0 {
		return nil, fmt.Errorf("%d rows are not %d heads of an even size", rows, heads)
	}
	return permuteRope{rows / heads}, nil
}

func (p permuteRope) units() int64 { return p.head }

func (p permuteRope) segments(row, n int64) []segment {
	half := p.head / 2
	var out []segment
	for n > 0 {
		in := row % p.head
		base := row - in
		k := min(n, p.head-in)
		// Output row base+2i+j comes from source row base+j*half+i.
		for j := range int64(2) {
			first := (in - j + 1) / 2 // smallest i with 2i+j >= in
			last := (in + k - j + 1) / 2
			if last > first {
				out = append(out, segment{row: base + j*half + first, n: last - first, dst: base + 2*first + j, stride: 2})
			}
		}
		row, n = row+k, n-k
	}
	return out
}
