package main

import (
	"math"

	"github.com/mmcloughlin/avo/attr"
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// still generates the test which groups refineQ3_K would leave as they are first rounded: those where no element's quant
// would be another as the others are. They are four fifths of all, and the test has no element wait for the one before.
func (s isa) still() {
	TEXT("stillQ3K"+s.name, attr.NOSPLIT, "func(fits, groups *float32) (moving uint32)")
	Pragma("noescape")
	Doc("stillQ3K"+s.name+" writes the fits of the groups of a super-block where refineQ3_K would move no quant, and returns a bit for each", "group where it might.")
	groups := Load(Param("groups"), GP64()).(reg.GPVirtual)
	fits, moving := Load(Param("fits"), GP64()).(reg.GPVirtual), GP32()
	XORL(moving, moving)
	for first := 0; first < 16; first += s.lanes {
		row := func(off, i int) Mem { return at(groups, off+i*signedRow+4*first) }
		inverse, top := s.div(s.eachF32(-4), s.load(row(signedTop, 0))), s.eachF32(3)
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
			VADDPS(wxl, sumlx, sumlx)
			VADDPS(wll, suml2, suml2)
		}
		moves := s.mayMove(sumlx, suml2, row)
		most := s.load(row(signedMost, 0))
		some := s.compare(cmpGE, most, s.eachF32(tinyGroup))
		bits := s.bits(s.both(moves, some))
		if first > 0 {
			SHLL(U8(first), bits)
		}
		ORL(bits, moving)
		positive := s.both(some, s.compare(cmpGT, suml2, s.zero()))
		s.store(s.only(positive, s.div(sumlx, suml2)), at(fits, fitsScale+4*first))
		s.store(s.only(some, inverse), at(fits, fitsInverse+4*first))
		s.store(most, at(fits, fitsMost+4*first))
	}
	Store(moving, ReturnIndex(0))
	VZEROUPPER()
	RET()
}

// mayMove is the mask of the groups where refineQ3_K might move an element's quant q, given the sums of its terms. It would move
// to x*sl2/slx rounded, in -4..3, if slx > 0, where sl2 and slx are the sums without the element's terms x*x*q*q and x*x*x*q.
// That is q where |x*sl2 - q*slx| <= slx/2, and the left side is |x*suml2 - q*sumlx|. The bound here is a little less, as the
// test rounds otherwise, and sums must not be so small that terms lack bits. All terms of sumlx have its sign, hence a sumlx
// that is not positive leaves no slx that is.
func (s isa) mayMove(sumlx, suml2 reg.VecVirtual, row func(off, i int) Mem) mask {
	const half, slack = 0.499, 1e-5
	halves, signless := s.each32(math.Float32bits(half)), s.each32(0x7fffffff)
	bound := s.mul(sumlx, s.eachF32(half-slack))
	moves := s.compare(cmpLT, sumlx, s.eachF32(1e-36))
	for i := range 16 {
		q, off := s.load(row(signedL, i)), s.mul(suml2, row(signedX, i))
		VFMSUB231PS(sumlx, q, off) // q*sumlx - x*suml2
		// The largest quant, 3, may fall short: its off keeps the sign. Of the quants' bits only those of 3 and -3 have 22.
		three, least := s.vec(), s.load(row(signedWXL, i))
		VPSLLD(U8(9), q, three)
		if s.wide() {
			VPTERNLOGD(U8(0xba), signless, q, three) // three &^ q | signless
			VPANDD(three, off, off)
		} else {
			VPANDN(three, q, three)
			VPOR(signless, three, three)
			VPAND(three, off, off)
		}
		VFNMADD132PS(halves, bound, least) // bound - wxl*half
		s.join(moves, s.compare(cmpNLE, off, least))
	}
	return s.both(moves, s.compare(cmpGT, sumlx, s.zero()))
}

// join adds the lanes of m to all.
func (s isa) join(all, m mask) {
	if s.wide() {
		KORW(m, all, all)
	} else {
		VORPS(m, all, all)
	}
}
