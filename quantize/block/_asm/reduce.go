package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// reduce makes one vector of as many as it has lanes: lane i is op over the lanes of vector i. op may take them in any order.
func (s isa) reduce(vector func(i int) reg.VecVirtual, op func(a, b reg.VecVirtual) reg.VecVirtual) reg.VecVirtual {
	return s.reduceRun(0, s.lanes, vector, op)
}

func (s isa) reduceRun(at, n int, vector func(i int) reg.VecVirtual, op func(a, b reg.VecVirtual) reg.VecVirtual) reg.VecVirtual {
	if n == 1 {
		return vector(at)
	}
	x, y := s.reduceRun(at, n/2, vector, op), s.reduceRun(at+n/2, n/2, vector, op)
	a, b := s.vec(), s.vec()
	switch {
	case n == 2:
		VUNPCKLPS(y, x, a)
		VUNPCKHPS(y, x, b)
	case n == 4:
		VUNPCKLPD(y, x, a)
		VUNPCKHPD(y, x, b)
	case s.wide():
		VSHUFF32X4(Imm(0x88), y, x, a)
		VSHUFF32X4(Imm(0xdd), y, x, b)
	default:
		VPERM2F128(Imm(0x20), y, x, a)
		VPERM2F128(Imm(0x31), y, x, b)
	}
	return op(a, b)
}

func (s isa) max(a, b reg.VecVirtual) reg.VecVirtual {
	v := s.vec()
	VMAXPS(b, a, v)
	return v
}

func (s isa) min(a, b reg.VecVirtual) reg.VecVirtual {
	v := s.vec()
	VMINPS(b, a, v)
	return v
}

// fold is op over the n floats at p, as one vector.
func (s isa) fold(p Mem, n int, op func(a, b reg.VecVirtual) reg.VecVirtual) reg.VecVirtual {
	if n == s.lanes {
		return s.load(p)
	}
	return op(s.fold(p, n/2, op), s.fold(p.Offset(2*n), n/2, op))
}
