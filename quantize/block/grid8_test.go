package block

import (
	"slices"
	"sort"
	"testing"
)

var grids8 = map[string]struct {
	grid   func() *grid8
	points int
}{"IQ2_XXS": {gridIQ2_XXS, 256}, "IQ2_XS": {gridIQ2_XS, 512}, "IQ2_S": {gridIQ2_S, 1024}, "IQ1": {gridIQ1, 2048}}

// TestGrid8: positions and digits agree, and the neighbours are those that sorting by distance and position gives.
func TestGrid8(t *testing.T) {
	for name, c := range grids8 {
		g := c.grid()
		if len(g.digits) != c.points {
			t.Errorf("%s: %d points, want %d", name, len(g.digits), c.points)
		}
		near := g.neighbours()
		for n, p := range g.at {
			got := near.positions[near.start[n]:near.start[n+1]]
			if p >= 0 {
				if number8(g.digits[p][:]) != n || len(got) != 0 {
					t.Fatalf("%s: number %d is point %d with digits %v and %d neighbours", name, n, p, g.digits[p], len(got))
				}
			} else if n%41 == 0 {
				if want := sortedNeighbours(g, n); !slices.Equal(got, want) {
					t.Fatalf("%s: neighbours of %d are %v, want %v", name, n, got, want)
				}
			}
		}
	}
}

// sortedNeighbours sorts all points by distance and position and takes those at the first distances.
func sortedNeighbours(g *grid8, n int) (out []uint16) {
	digits := digits8(n)
	distance := func(p int) (sum int) {
		for i, d := range g.digits[p] {
			sum += (int(d) - int(digits[i])) * (int(d) - int(digits[i]))
		}
		return sum
	}
	order := make([]int, len(g.digits))
	for p := range order {
		order[p] = p
	}
	sort.SliceStable(order, func(i, j int) bool { return distance(order[i]) < distance(order[j]) })
	distances := 1
	for i, p := range order {
		if i > 0 && distance(p) > distance(order[i-1]) {
			if distances++; distances > g.wanted {
				break
			}
		}
		out = append(out, uint16(p))
	}
	return out
}

// BenchmarkNeighbours is what the first encoding of a type costs.
func BenchmarkNeighbours(b *testing.B) {
	for name, c := range grids8 {
		b.Run("grid="+name, func(b *testing.B) {
			for b.Loop() {
				g := c.grid()
				fresh := grid8{digits: g.digits, at: g.at, wanted: g.wanted}
				fresh.neighbours()
			}
		})
	}
}
