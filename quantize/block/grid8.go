package block

import (
	"encoding/base64"
	"math"
	"sync"
)

// points8 is the number of points of 8 digits of 0..2. A point's number has digit i at weight 3^i.
const points8 = 3 * 3 * 3 * 3 * 3 * 3 * 3 * 3

// grid8 is the set of points that a group of 8 weights of an IQ2 or IQ1 type may take. Encoded is a point's position
// in the ascending order of numbers.
type grid8 struct {
	digits [][8]uint8     // by position
	at     [points8]int16 // position by number, -1 off the grid
	wanted int
	once   sync.Once
	near   near8
}

// near8 are the neighbours of each point off the grid: the points on it at the least, the second least, ... of the
// distances that occur, as many distances as the type wants; nearer ones first, those as near in ascending order.
type near8 struct {
	start     [points8 + 1]uint32 // neighbours of number n: positions[start[n]:start[n+1]]
	positions []uint16
}

// newGrid8 makes a grid of a set of numbers (see grid8_data.go).
func newGrid8(wanted int, set string) *grid8 {
	bits, err := base64.RawStdEncoding.DecodeString(set)
	if err != nil {
		panic(err) // a constant
	}
	g := &grid8{wanted: wanted}
	for n := range g.at {
		g.at[n] = -1
		if bits[n/8]>>(n%8)&1 != 0 {
			g.at[n] = int16(len(g.digits))
			g.digits = append(g.digits, digits8(n))
		}
	}
	return g
}

// digits8 are the digits of a number.
func digits8(n int) (d [8]uint8) {
	for i := range d {
		d[i] = uint8(n % 3)
		n /= 3
	}
	return d
}

// number8 is the number of digits.
func number8(d []uint8) (n int) {
	for i := 7; i >= 0; i-- {
		n = 3*n + int(d[i])
	}
	return n
}

// neighbours computes them at first use. The square of the distance to a point is a sum over halves of 4 digits, of which
// there are 81, so that one table of these serves all points.
func (g *grid8) neighbours() *near8 {
	g.once.Do(func() {
		var halves [81][81]uint8
		for a := range halves {
			for b := range halves {
				for i, d := range digits8(a) {
					diff := int(d) - int(digits8(b)[i])
					halves[a][b] += uint8(diff * diff)
				}
			}
		}
		low, high := make([]uint8, len(g.digits)), make([]uint8, len(g.digits))
		for n, p := range g.at {
			if p >= 0 {
				low[p], high[p] = uint8(n%81), uint8(n/81)
			}
		}
		var at [8*4 + 1][]uint16 // positions by square of the distance
		for n, p := range g.at {
			if p < 0 {
				g.near.positions = appendNearest(g.near.positions, &at, low, high, &halves[n%81], &halves[n/81], g.wanted)
			}
			g.near.start[n+1] = uint32(len(g.near.positions))
		}
	})
	return &g.near
}

// appendNearest appends the positions at the wanted number of least distances; to those of the halves, tables give them.
func appendNearest(out []uint16, at *[33][]uint16, low, high []uint8, toLow, toHigh *[81]uint8, wanted int) []uint16 {
	for d := range at {
		at[d] = at[d][:0]
	}
	limit := uint8(len(at) - 1) // at farther distances nothing is wanted any more
	high = high[:len(low)]
	for p, l := range low {
		d := toLow[l] + toHigh[high[p]]
		if d > limit {
			continue
		}
		if at[d] = append(at[d], uint16(p)); len(at[d]) == 1 {
			limit = nthDistance(at, wanted, limit)
		}
	}
	for _, positions := range at[:limit+1] {
		out = append(out, positions...)
	}
	return out
}

// nthDistance is the n-th least distance that occurs up to limit, limit if fewer do.
func nthDistance(at *[33][]uint16, n int, limit uint8) uint8 {
	for d := range limit {
		if len(at[d]) > 0 {
			if n--; n == 0 {
				return d
			}
		}
	}
	return limit
}

// terms8 are the weighted squared errors of 8 weights for each value that their digits may stand for.
type terms8 [8][3]float32

// set computes w*(scale*value-x)^2.
func (t *terms8) set(x, w []float32, scale float32, values *[3]float32) {
	var scaled [3]float32
	for d, v := range values {
		scaled[d] = float32(scale * v)
	}
	w = w[:8]
	for i, v := range x[:8] {
		for d, s := range scaled {
			diff := s - v
			t[i][d] = float32(float32(w[i]*diff) * diff)
		}
	}
}

// nearest is the first of the neighbours of number n with the least error, -1 where all errors overflow.
func (g *grid8) nearest(n int, t *terms8) int {
	near := g.neighbours()
	best, least := -1, float32(math.MaxFloat32)
	for _, p := range near.positions[near.start[n]:near.start[n+1]] {
		d := &g.digits[p]
		e := t[0][d[0]] + t[1][d[1]] + t[2][d[2]] + t[3][d[3]] + t[4][d[4]] + t[5][d[5]] + t[6][d[6]] + t[7][d[7]]
		if e < least {
			best, least = int(p), e
		}
	}
	return best
}
