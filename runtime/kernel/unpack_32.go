package kernel

import (
	"math"
)

// What nibbles stand for.
var (
	linear4    = [16]int8{-8, -7, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7}
	nonLinear4 = [16]int8{-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113}
	twiceE2M1  = [16]int8{0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12}
	plain4     = [16]int8{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}
)

func unpackQ8_0(g *group, b int, y []byte) {
	g.scales[b] = half(y)
	for i, q := range y[2:34] {
		g.quants[32*b+i] = int8(q)
	}
}

// spread16 looks 16 bytes' low nibbles up for elements at and after, high nibbles for the 16 elements behind.
func (g *group) spread16(at int, y []byte, table *[16]int8) {
	for i, q := range y[:16] {
		g.quants[at+i], g.quants[at+16+i] = table[q&15], table[q>>4]
	}
}

// nibbles takes apart blocks of a scale and 16 bytes at an offset.
func nibbles(at int, table *[16]int8, scale func([]byte) float32) func(g *group, b int, y []byte) {
	return func(g *group, b int, y []byte) {
		g.scales[b] = scale(y)
		g.spread16(32*b, y[at:], table)
	}
}

// scaleMXFP4 is half of what the exponent says, since the values are doubled.
func scaleMXFP4(y []byte) float32 {
	if y[0] < 2 {
		return math.Float32frombits(0x00200000 << y[0]) // subnormal
	}
	return math.Float32frombits(uint32(y[0]-1) << 23)
}

func unpackQ4_1(g *group, b int, y []byte) {
	g.scales[b] = half(y)
	g.mins[b] = -half(y[2:])
	g.spread16(32*b, y[4:], &plain4)
}

// fifthBits adds 16 to the elements of a block whose bits are set.
func (g *group) fifthBits(b int, y []byte) {
	for i := range 32 {
		g.quants[32*b+i] += int8(y[i/8]>>(i%8)&1) << 4
	}
}

func unpackQ5_0(g *group, b int, y []byte) {
	g.scales[b] = half(y)
	g.spread16(32*b, y[6:], &plain4)
	g.fifthBits(b, y[2:])
	for i := range 32 {
		g.quants[32*b+i] -= 16
	}
}

func unpackQ5_1(g *group, b int, y []byte) {
	g.scales[b] = half(y)
	g.mins[b] = -half(y[2:])
	g.spread16(32*b, y[8:], &plain4)
	g.fifthBits(b, y[4:])
}
