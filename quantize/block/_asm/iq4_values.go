package main

import (
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

var (
	valuesIQ4  = []float32{-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113}
	middlesIQ4 = []float32{-115.5, -93.5, -74, -57, -42, -28.5, -16, -4.5, 7, 19, 31.5, 45.5, 61, 79, 101}
)

// iq4 finds nearest values. A line through the values gives a position that is at most one too low, which a look at the
// middle above tells. With AVX-512 positions are -2 to 17 modulo 32, for all floats up to 139, and those of the first two
// values are -1 and 1: 0 is always too low. With AVX2 they are 0 to 15, and floats are clamped.
type iq4 struct {
	isa
	slope, offset, magic, one reg.VecVirtual
	middles                   [2]reg.VecVirtual
}

func (s isa) iq4() *iq4 {
	n := &iq4{isa: s, slope: s.eachF32(1 / 14.5)}
	inf := float32(math.Inf(1))
	if !s.wide() {
		n.offset = s.eachF32(8 - 1.75/14.5)
		n.middles = s.pair("middlesIQ4", floatBits(append(middlesIQ4[:15:15], inf)))
		return n
	}
	n.offset, n.magic, n.one = s.eachF32(7.5-1.75/14.5), s.eachF32(3<<22), s.each32(1)
	m := append([]float32{-inf}, middlesIQ4[1:]...)
	for len(m) < 31 {
		m = append(m, inf)
	}
	n.middles = s.pair("middlesIQ4", floatBits(append(m, middlesIQ4[0])))
	return n
}

// byPosition arranges what belongs to the 16 values by position.
func (s isa) byPosition(of []uint32) []uint32 {
	if !s.wide() {
		return of
	}
	out := append([]uint32{of[1]}, of[1:]...)
	for len(out) < 30 {
		out = append(out, of[15])
	}
	return append(out, of[0], of[0])
}

func floatBits(f []float32) []uint32 {
	out := make([]uint32, len(f))
	for i, v := range f {
		out[i] = math.Float32bits(v)
	}
	return out
}

// pair is a table of as many words as two vectors have.
func (s isa) pair(name string, words []uint32) [2]reg.VecVirtual {
	m := table(name+s.name, words...)
	return [2]reg.VecVirtual{s.load(m), s.load(m.Offset(s.bytes()))}
}

// look reads a table at positions. It may leave the result in these.
func (s isa) look(t [2]reg.VecVirtual, position reg.VecVirtual) reg.VecVirtual {
	if s.wide() {
		VPERMI2PS(t[1], t[0], position)
		return position
	}
	lo, hi, fourth := s.vec(), s.vec(), s.vec()
	VPSLLD(Imm(28), position, fourth)
	VPERMPS(t[0], position, lo)
	VPERMPS(t[1], position, hi)
	VBLENDVPS(fourth, hi, lo, lo)
	return lo
}

// positions are those of the values nearest to x. One step is taken for all of them before the next, so that little waits
// for results.
func (n *iq4) positions(x []reg.VecVirtual) []reg.VecVirtual {
	p, middles := make([]reg.VecVirtual, len(x)), make([]reg.VecVirtual, len(x))
	for i := range x {
		if !n.wide() {
			x[i] = n.clamp(x[i])
		}
		p[i] = n.vec()
		VMOVAPS(n.offset, p[i])
		VFMADD231PS(n.slope, x[i], p[i])
	}
	for i := range x {
		if n.wide() {
			VADDPS(n.magic, p[i], p[i])
		} else {
			VCVTTPS2DQ(p[i], p[i])
		}
	}
	for i := range x {
		middles[i] = p[i]
		if n.wide() {
			middles[i] = n.vec()
			VMOVAPS(p[i], middles[i])
		}
		middles[i] = n.look(n.middles, middles[i])
	}
	for i := range x {
		low := n.compare(cmpGE, x[i], middles[i])
		if n.wide() {
			VPADDD(n.one, p[i], low, p[i])
		} else {
			VPSUBD(low, p[i], p[i])
		}
	}
	return p
}

// position is positions for one vector.
func (n *iq4) position(x reg.VecVirtual) reg.VecVirtual {
	return n.positions([]reg.VecVirtual{x})[0]
}

// clamp is x between the least and the greatest value; the latter for NaN.
func (n *iq4) clamp(x reg.VecVirtual) reg.VecVirtual {
	v := n.vec()
	VMINPS(n.everyF32(113), x, v)
	VMAXPS(n.everyF32(-127), v, v)
	return v
}
