package block

import (
	"encoding/base64"
	"sync"
)

// The points of the IQ3 types: groups of four weights, each a level of 3 bits, the first in the low ones. Not all 4096
// points can be encoded; those that can are on the grid, and their rank is what is stored. A grid is given here as
// bits, lowest first.
const (
	gridIQ3_XXS = "FYoFAgQAACgKBSIFAhAAARUCBYoAggAgggUgAAAAAAEACACAEIAAKIIAAAQABAAAAAAAIAAAEAAAUQAACAACAAoFChWAAQAABQIFAAAAAAAKBQ" +
		"IBAAAABAUAAQJAAEAAIgAAAAABAAAAABEAQAAAAiAAAAAAAAAAAAAEAAEAAAAFCkUCBAAAACoFAgEAAIgBBYIFgAEgAAACEQAAAAAAEQAAACAA" +
		"CAAACACAAAIAABAAAAAAAAAAAApAAAAgAAAAAgUKAAABIAQFAAECUAAAAAoBIAAABAAEAAIACAAAAAAAAAABgAAABEEABAAAIAAAABAAQAAACA" +
		"AAAAAIAAABABCAAKAAiAAAAAAAAAAAABAAAAGAAQBBAIAAAAAgAAAAEAAAAAACEAAAACAACAAAAQAAAAAAAAAAIAUAAQAAAAAABAAAAgAAAUEA" +
		"QAAAIAAAABAABAAAAAQEAAAAAAgAAAABiAAAAAAEBAAAAgAAAAAAAAAAAAEAAAAAEAAEAAAAAAAQAFAAEAAAAAIAAAACAACAAAAAABAAAAAAQQ" +
		"AAAAAAAAAAEAAAACAAAAAABAAAAAAACAAAAAAIAAIAAAAAAKgBAAQABAAAAABAAAEAAAAABAAAIAQAAAEgAAgAAAEAAAACAAIAAAAFABAAAAAA" +
		"AAAAAAEAAAAAAAAAAAAAAAA="
	gridIQ3_S = "p1cjCKUKBZIXI4kiEAAiBKNJIhGkCgAJCCIFShAFgCIBiBIECQIAARQARQiiAEAIQAoAAgAEAAIVAEUIABEAABerBVIAUAIESxECCQIFAEEBpB" +
		"EECSABBJIJghECAAQBKBQACkQRAAACCQIFAAIAAAAAkQBQAAAACgUCIAIABAGrVYoFKgWAKQWJJBIEAgAAkgAKgQKIABIlAhQKBAFAAIIACSQC" +
		"AAAkEAIEgAEIAAGFAAIAACACACACQAEIAQAABKoEKpQCCAIqEAoAAQABRAEEARQAAQAAAhGKAYogAAgIQgQCAAQRAAIFIAQQQAAIAEAAAAIAAA" +
		"AKAAUgAAAAABEEkQQCAQABhAoEIQgiAAAKIQIIAYAEARAKBSIAAAAABQAQgAEAAAKgAAIAAAAEAAAIABAAAAEAACEAAQgCAAAEEQQAkQRAECoE" +
		"AgQAAAAEAQIIQQAIAACEAYAAEAIgCBIAAQRAAAAAAARAAAAKAAAAAAAABAAAABQABAAAAAAAACoACgAAAQABAIEAAAAQAAAEABAEIAQBARACAA" +
		"EAAAAAACAACAAEAAkAABAAAAEAIAAAAAEAAAAACgAAAAAAAJEABUABEAQABAIQACgAAAASQQIBAAIAAAQAACQACAAAIggBAAABAAAAAAQABAAA" +
		"AAQAAAIAAAAAAQAAAAAAAAA="
)

// lattice3 is a grid with what takes the place of the points that are off it.
type lattice3 struct {
	points     []uint16    // on the grid, ascending
	index      [4096]int32 // rank of a point on the grid; of one off it, -1 - where its neighbours start
	neighbours []uint16    // of each point off the grid: their number, then the points
}

// near gives the neighbours of the point at an index below 0.
func (l *lattice3) near(index int32) []uint16 {
	n := l.neighbours[-1-index:]
	return n[1 : 1+n[0]]
}

var (
	latticeIQ3_XXS = sync.OnceValue(func() *lattice3 { return newLattice3(gridIQ3_XXS, 2) })
	latticeIQ3_S   = sync.OnceValue(func() *lattice3 { return newLattice3(gridIQ3_S, 3) })
)

// newLattice3 takes as neighbours the points on the grid in the nearest shells that hold any, in order of distance,
// then rank. Shells are walked outwards, so that few points are looked at.
func newLattice3(grid string, shells int) *lattice3 {
	bits, err := base64.StdEncoding.DecodeString(grid)
	if err != nil || len(bits) != 4096/8 {
		panic("block: a grid's bits are damaged")
	}
	l := new(lattice3)
	on := func(p int) bool { return bits[p/8]>>(p%8)&1 != 0 }
	for p := range l.index {
		if on(p) {
			l.index[p] = int32(len(l.points))
			l.points = append(l.points, uint16(p))
		}
	}
	steps := stepsByDistance()
	for p := range l.index {
		if on(p) {
			continue
		}
		start := len(l.neighbours)
		l.index[p] = int32(-1 - start)
		l.neighbours = append(l.neighbours, 0)
		from, last, found := spread3(p), 0, 0
		for _, s := range steps {
			to := from + s.by
			if to&outside3 != 0 || !on(compact3(to)) {
				continue
			}
			if s.distance != last {
				if found == shells {
					break
				}
				last = s.distance
				found++
			}
			l.neighbours = append(l.neighbours, uint16(compact3(to)))
		}
		l.neighbours[start] = uint16(len(l.neighbours) - start - 1)
	}
	return l
}

// step3 leads from a point, spread, to another one.
type step3 struct{ by, distance int }

// outside3 are the bits that a spread point, with four bits a level, has none of.
const outside3 = 0x8888

func spread3(p int) int  { return p&7 | p&070<<1 | p&0700<<2 | p&07000<<3 }
func compact3(p int) int { return p&7 | p>>1&070 | p>>2&0700 | p>>3&07000 }

// stepsByDistance are all steps, those of equal length in the order of the points they lead to: a counting sort.
func stepsByDistance() []step3 {
	const side = 2*7 + 1
	var ends [4*7*7 + 1]int
	all := make([]step3, 0, side*side*side*side)
	for d := -7; d <= 7; d++ {
		for c := -7; c <= 7; c++ {
			for b := -7; b <= 7; b++ {
				for a := -7; a <= 7; a++ {
					s := step3{a + b<<4 + c<<8 + d<<12, a*a + b*b + c*c + d*d}
					all = append(all, s)
					ends[s.distance]++
				}
			}
		}
	}
	next := 0
	for n, count := range ends {
		ends[n] = next
		next += count
	}
	sorted := make([]step3, len(all))
	for _, s := range all {
		sorted[ends[s.distance]] = s
		ends[s.distance]++
	}
	return sorted
}
