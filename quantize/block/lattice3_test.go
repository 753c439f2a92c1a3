package block

import (
	"cmp"
	"slices"
	"testing"
)

// TestLattice3 compares neighbours with those found by sorting the whole grid.
func TestLattice3(t *testing.T) {
	for _, c := range []struct {
		l              *lattice3
		points, shells int
	}{{latticeIQ3_XXS(), 256, 2}, {latticeIQ3_S(), 512, 3}} {
		if len(c.l.points) != c.points {
			t.Errorf("%d points, want %d", len(c.l.points), c.points)
		}
		for p := 0; p < 4096; p += 7 {
			if i := c.l.index[p]; i >= 0 {
				if int(c.l.points[i]) != p {
					t.Errorf("point %#o has rank %d, that of %#o", p, i, c.l.points[i])
				}
				continue
			}
			if got, want := c.l.near(c.l.index[p]), nearestSorted(c.l.points, p, c.shells); !slices.Equal(got, want) {
				t.Errorf("neighbours of %#o: %#o, want %#o", p, got, want)
			}
		}
	}
}

func nearestSorted(points []uint16, p, shells int) []uint16 {
	distance := func(q uint16) int {
		sum := 0
		for i := range 4 {
			d := int(q)>>(3*i)&7 - p>>(3*i)&7
			sum += d * d
		}
		return sum
	}
	sorted := slices.Clone(points)
	slices.SortStableFunc(sorted, func(a, b uint16) int { return cmp.Compare(distance(a), distance(b)) })
	n := 1
	for ; n < len(sorted); n++ {
		if distance(sorted[n]) > distance(sorted[n-1]) {
			if shells--; shells == 0 {
				break
			}
		}
	}
	return sorted[:n]
}
