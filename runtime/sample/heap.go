package sample

import "slices"

// take sorts the most likely candidates to the front of c until stop says, after the n-th, that they are
// enough, and returns them. It works in place: a heap is built at the end of which the sorted ones collect.
func take(c []candidate, stop func(n int, last candidate) bool) []candidate {
	for i := len(c)/2 - 1; i >= 0; i-- {
		sink(c, i)
	}
	end := len(c)
	for end > 0 {
		end--
		c[0], c[end] = c[end], c[0]
		sink(c[:end], 0)
		if stop(len(c)-end, c[end]) {
			break
		}
	}
	n := len(c) - end
	slices.Reverse(c[end:])
	copy(c, c[end:])
	return c[:n]
}

// sink restores the heap's order below i: no child comes before its parent.
func sink(h []candidate, i int) {
	for {
		child := 2*i + 1
		if child >= len(h) {
			return
		}
		if right := child + 1; right < len(h) && h[right].before(h[child]) {
			child = right
		}
		if !h[child].before(h[i]) {
			return
		}
		h[i], h[child] = h[child], h[i]
		i = child
	}
}
