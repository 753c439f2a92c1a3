package token

// candidates is a heap: the best on top.
type candidates []candidate

// better orders by rank, then from left to right.
func (c *candidate) better(d *candidate) bool {
	return c.rank < d.rank || c.rank == d.rank && c.at < d.at
}

func (q *candidates) push(c candidate) {
	*q = append(*q, c)
	h := *q
	i := len(h) - 1
	for i > 0 {
		up := (i - 1) / 2
		if !c.better(&h[up]) {
			break
		}
		h[i] = h[up]
		i = up
	}
	h[i] = c
}

func (q *candidates) pop() candidate {
	h := *q
	top, last := h[0], h[len(h)-1]
	h = h[:len(h)-1]
	*q = h
	i := 0
	for {
		down := 2*i + 1
		if down >= len(h) {
			break
		}
		if down+1 < len(h) && h[down+1].better(&h[down]) {
			down++
		}
		if !h[down].better(&last) {
			break
		}
		h[i] = h[down]
		i = down
	}
	if len(h) > 0 {
		h[i] = last
	}
	return top
}
