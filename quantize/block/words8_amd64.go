//go:build amd64 && !purego

package block

// words8 is a grid as the kernels want it: see _asm/iq2_search.go. A word holds a point, digit i in the lower two bits of
// nibble i, and i%4 in its upper ones.
type words8 struct {
	word [points8]uint32 // by number: the point, or with the highest bit set where its neighbours are and how many eights
	near []uint32        // neighbours, filled up to eights
	at   *[points8]int16 // position by number
}

func makeWords8(g *grid8) *words8 {
	t := &words8{at: &g.at}
	near := g.neighbours()
	for n := range t.word {
		if g.at[n] >= 0 {
			t.word[n] = wordOf(digits8(n)) &^ (1 << 31)
			continue
		}
		first := len(t.near)
		for _, p := range near.positions[near.start[n]:near.start[n+1]] {
			t.near = append(t.near, wordOf(g.digits[p]))
		}
		// What fills up the last eight is the same as eight places before, hence never the first with the least error.
		for i := max(first, len(t.near)-8); (len(t.near)-first)%8 != 0; i++ {
			t.near = append(t.near, t.near[i])
		}
		t.word[n] = 1<<31 | uint32(first/8)<<8 | uint32(len(t.near)-first)/8
	}
	return t
}

// wordOf is the point with these digits; the highest bit says that it comes from a search.
func wordOf(digits [8]uint8) (w uint32) {
	for i, d := range digits {
		w |= uint32(d|uint8(i%4)<<2) << (4 * i)
	}
	return w
}

// position is that of a word's point on the grid.
func (t *words8) position(w uint32) int {
	pairs := w&0x03030303 + 3*(w>>4&0x03030303)
	return int(t.at[pairs&15+9*(pairs>>8&15)+81*(pairs>>16&15)+729*(pairs>>24)])
}
