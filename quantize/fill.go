package quantize

import (
	"cmp"
	"slices"
)

// step is a slot's way from one rung to another.
type step struct {
	slot, to int
	bytes    int64   // more
	noise    float64 // less
}

func (s step) gain() float64 { return s.noise / float64(max(1, s.bytes)) }

// fill raises slots from their lowest rungs within the bytes: along the lower convex hulls of their ladders, by noise less
// for bytes more; then by any rung that fits; then one slot at another's cost where that is less noise. When it ends, no
// slot can be raised within the bytes that are left. It returns the bytes that even the lowest rungs lack.
func fill(slots []*slot, left int64) (lack int64) {
	var steps []step
	for i, s := range slots {
		left -= s.ladder[0].bytes
		steps = append(steps, s.hull(i)...)
	}
	if left < 0 {
		return -left
	}
	slices.SortStableFunc(steps, func(x, y step) int { return preferred(slots, x, y) })
	for _, st := range steps {
		s := slots[st.slot]
		if s.done = s.done || st.bytes > left; !s.done {
			s.at, left = st.to, left-st.bytes
		}
	}
	for {
		left = raise(slots, left)
		up, down := exchange(slots, left)
		if up.noise == 0 {
			return 0
		}
		slots[up.slot].at, slots[down.slot].at = up.to, down.to
		left -= up.bytes + down.bytes
	}
}

// raise takes the best step that fits until none does, and returns the bytes that are left.
func raise(slots []*slot, left int64) int64 {
	for {
		best := step{slot: -1}
		for i, s := range slots {
			for to := s.at + 1; to < len(s.ladder); to++ {
				st := s.step(i, to)
				if st.bytes <= left && (best.slot < 0 || preferred(slots, st, best) < 0) {
					best = st
				}
			}
		}
		if best.slot < 0 {
			return left
		}
		slots[best.slot].at, left = best.to, left-best.bytes
	}
}

// exchange finds the step up and the step down that together fit and save the most noise; none if the first saves 0.
func exchange(slots []*slot, left int64) (up, down step) {
	ups, downs := alike(slots)
	best := 0.0
	for _, i := range ups {
		for to := slots[i].at + 1; to < len(slots[i].ladder); to++ {
			u := slots[i].step(i, to)
			for _, j := range downs {
				for low := slots[j].at - 1; low >= 0 && i != j; low-- {
					d := slots[j].step(j, low)
					saved := u.noise + d.noise
					if u.bytes+d.bytes <= left && saved > best*(1+1e-9) && saved > 1e-9*u.noise { // never back and forth for the last bit of a float
						up, down, best = u, d, saved
					}
				}
			}
		}
	}
	return up, down
}

// alike lists one slot for each ladder and rung: the one to be raised first, and the one to be lowered first.
func alike(slots []*slot) (ups, downs []int) {
	type state struct {
		bytes, top int64
		noise      float64
		rungs, at  int
	}
	first := map[state]int{}
	for i, s := range slots {
		n := len(s.ladder)
		k := state{s.ladder[0].bytes, s.ladder[n-1].bytes, s.ladder[0].noise, n, s.at}
		at, ok := first[k]
		if !ok {
			at = len(ups)
			first[k] = at
			ups, downs = append(ups, i), append(downs, i)
		}
		if s.rank < slots[ups[at]].rank {
			ups[at] = i
		}
		if s.rank > slots[downs[at]].rank {
			downs[at] = i
		}
	}
	return ups, downs
}

// preferred orders steps: most gain first, then blocks that get more bits first, then as the tensors come.
func preferred(slots []*slot, x, y step) int {
	return cmp.Or(cmp.Compare(y.gain(), x.gain()), cmp.Compare(slots[x.slot].rank, slots[y.slot].rank), cmp.Compare(x.slot, y.slot))
}

// step is the way of slot i from where it stands to another rung.
func (s *slot) step(i, to int) step {
	a, b := s.ladder[s.at], s.ladder[to]
	return step{i, to, b.bytes - a.bytes, a.noise - b.noise}
}

// hull lists the steps of slot i along the ladder's lower convex hull, each of less gain than the one before.
func (s *slot) hull(i int) []step {
	var out []step
	for c := *s; c.at < len(c.ladder)-1; {
		best := c.step(i, c.at+1)
		for to := c.at + 2; to < len(c.ladder); to++ {
			if st := c.step(i, to); st.gain() >= best.gain() {
				best = st
			}
		}
		out, c.at = append(out, best), best.to
	}
	return out
}
