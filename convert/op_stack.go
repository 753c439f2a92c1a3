package convert

// stackExperts puts source tensors of rows rows each one after the other.
type stackExperts struct{ rows int64 }

func (s stackExperts) units() int64 { return s.rows }

func (s stackExperts) segments(row, n int64) []segment {
	var out []segment
	for n > 0 {
		in := row % s.rows
		k := min(n, s.rows-in)
		out = append(out, segment{src: int(row / s.rows), row: in, n: k, dst: row, stride: 1})
		row, n = row+k, n-k
	}
	return out
}
