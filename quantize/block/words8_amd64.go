//go:build amd64 && !purego

package block

import "sync"

// words8 is a grid as the kernels of a form want it: see _asm/runs_search.go. A word holds a point, digit i in the lower two bits
// of nibble i, and i%4 in its upper ones.
type words8 struct {
	word [points8]uint32 // by number: the point or, with the highest bit set, where its neighbours are
	near []uint32        // neighbours, filled up to vectors, in the form that the search wants
	at   *[points8]int16 // position by number
}

// wordsOf makes the words of a grid at first use, for each form.
func wordsOf(grid func() *grid8) (byForm [forms]func() *words8) {
	byForm[avx2] = sync.OnceValue(func() *words8 { return makeWords8(grid(), 8) })
	byForm[avx512] = sync.OnceValue(func() *words8 { return makeWords8(grid(), 16) })
	return byForm
}

func makeWords8(g *grid8, lanes int) *words8 {
	t := &words8{at: &g.at}
	near := g.neighbours()
	for n := range t.word {
		if g.at[n] >= 0 {
			t.word[n] = wordOf(digits8(n)) &^ (1 << 31)
			continue
		}
		first := len(t.near)
		for _, p := range near.positions[near.start[n]:near.start[n+1]] {
			t.near = append(t.near, nearOf(g.digits[p], lanes))
		}
		for (len(t.near)-first)%lanes != 0 {
			t.near = append(t.near, nearOf([8]uint8{3, 3, 3, 3, 3, 3, 3, 3}, lanes))
		}
		t.word[n] = uint32(1<<31 | (len(t.near)-first)/lanes<<25 | first)
	}
	return t
}

// nearOf is a neighbour; for vectors of 16 lanes with the number of its first three digits.
func nearOf(digits [8]uint8, lanes int) uint32 {
	w := wordOf(digits)
	if lanes == 16 {
		w = min(31, w&3+3*(w>>4&3)+9*(w>>8&3)) | w>>12<<8
	}
	return w
}

// wordOf is the point with these digits; the highest bits say that it comes from a search, with no other neighbour in sight.
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
