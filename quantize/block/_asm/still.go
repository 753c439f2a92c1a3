package main

import (
	"github.com/mmcloughlin/avo/attr"
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// still generates the test which groups refineQ3_K would leave as they are first rounded: those where no element's quant
// would be another as the others are. They are four fifths of all, and the test has no element wait for the one before.
func (s isa) still() {
	TEXT("stillQ3K"+s.name, attr.NOSPLIT, "func(groups *float32) (moving uint32)")
	Pragma("noescape")
	Doc("stillQ3K"+s.name+" finds scale and inverse of the groups of a super-block where refineQ3_K would move no quant, and returns a", "bit for each group where it might.")
	groups := Load(Param("groups"), GP64()).(reg.GPVirtual)
	moving := GP32()
	XORL(moving, moving)
	for first := 0; first < 16; first += s.lanes {
		row := func(off, i int) Mem { return at(groups, off+i*signedRow+4*first) }
		inverse, top, signless := s.div(s.eachF32(-4), s.load(row(signedTop, 0))), s.eachF32(3), s.each32(0x7fffffff)
		sumlx, suml2 := s.zero(), s.zero()
		for i := range 16 {
			x := s.load(row(signedX, i))
			q := s.mul(x, inverse)
			s.round(q)
			q = s.min(q, top)
			w := s.mul(x, x)
			wxl, wll := s.mul(s.mul(w, x), q), s.mul(s.mul(w, q), q)
			s.store(q, row(signedL, i))
			s.store(wxl, row(signedWXL, i))
			s.store(wll, row(signedWLL, i))
			VADDPS(wxl, sumlx, sumlx)
			VADDPS(wll, suml2, suml2)
		}
		// The quant that an element would move to is x*sl2/slx rounded, in -4..3. It stays if that is within a half of q, where the
		// bounds are a little inside as the test rounds otherwise, or if slx is not positive.
		half, most, least := s.eachF32(0.4999), s.eachF32(3.4), s.eachF32(-4.4)
		zero := s.zero()
		var moves mask
		for i := range 16 {
			q := s.load(row(signedL, i))
			slx, sl2 := s.max(s.sub(sumlx, row(signedWXL, i)), zero), s.sub(suml2, row(signedWLL, i))
			off := s.max(s.min(s.mul(sl2, row(signedX, i)), s.mul(slx, most)), s.mul(slx, least))
			VFNMADD231PS(q, slx, off)
			off = s.and(off, signless)
			m := s.compare(cmpNLE, off, s.mul(slx, half))
			if i > 0 {
				m = s.either(moves, m)
			}
			moves = m
		}
		some := s.compare(cmpGE, s.load(row(signedMost, 0)), s.eachF32(tinyGroup))
		bits := s.bits(s.both(moves, some))
		if first > 0 {
			SHLL(U8(first), bits)
		}
		ORL(bits, moving)
		positive := s.both(some, s.compare(cmpGT, suml2, s.zero()))
		s.store(s.only(positive, s.div(sumlx, suml2)), row(signedScale, 0))
		s.store(s.only(some, inverse), row(signedInverse, 0))
	}
	Store(moving, ReturnIndex(0))
	VZEROUPPER()
	RET()
}
