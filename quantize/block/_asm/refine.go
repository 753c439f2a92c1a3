package main

import (
	"fmt"
	"math"

	"github.com/mmcloughlin/avo/attr"
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Layout of signedGroups that are refined: groups have 16 elements, and what the rows of the other 16 would hold is, by element,
// the quant, its term of sum w*q*q, and that of sum w*x*q.
const (
	signedL   = signedX + 16*signedRow
	signedWLL = signedW + 16*signedRow
	signedWXL = signedWX + 16*signedRow
	// signedSize is the size of signedGroups.
	signedSize = 101 * signedRow
)

// refine generates refineQ3_K for 64 groups: a lane for each, and four vectors in turn, since each depends on all that went
// before and would wait for itself.
type refine struct {
	isa
	groups reg.GPVirtual
	sets   [4]refined

	magic, low, bias, least, most Op // what rounding needs
	zero                          Op
}

// refined is a vector of groups.
type refined struct {
	at           int // from groups
	sumlx, suml2 reg.VecVirtual
}

const roundMagic = 12582912

func (r *refine) generate() {
	TEXT("refineQ3K"+r.name, attr.NOSPLIT, "func(groups *float32)")
	Pragma("noescape")
	Doc("refineQ3K" + r.name + " refines four times 16 groups, and finds their scales.")
	r.groups = Load(Param("groups"), GP64()).(reg.GPVirtual)
	r.magic, r.low, r.bias = r.constant(math.Float32bits(roundMagic)), r.constant(0x007fffff), r.constant(0x4b000000)
	r.least, r.most = r.constant(math.Float32bits(roundMagic-4)), r.constant(math.Float32bits(roundMagic+3))
	r.zero = r.constant(0)
	rounds, round := GP64(), label("round")
	MOVQ(U32(16/r.lanes), rounds)
	Label(round)
	for i := range r.sets {
		r.sets[i].at = i * signedSize
		if !r.wide() { // two halves of two
			r.sets[i].at = i/2*signedSize + i%2*r.bytes()
		}
		r.start(&r.sets[i])
	}
	r.passes()
	for i := range r.sets {
		r.finish(&r.sets[i])
	}
	ADDQ(U32(2*signedSize), r.groups)
	DECQ(rounds)
	JNZ(LabelRef(round))
	VZEROUPPER()
	RET()
}

// elements runs body for each element, whose rows are those of element i at p.
func (r *refine) elements(body func(p reg.GPVirtual, i int)) {
	p, left, l := GP64(), GP64(), label("elements")
	MOVQ(r.groups, p)
	MOVQ(U32(4), left)
	Label(l)
	for i := range 4 {
		body(p, i)
	}
	ADDQ(U32(4*signedRow), p)
	DECQ(left)
	JNZ(LabelRef(l))
}

func (s *refined) row(p reg.GPVirtual, off, i int) Mem { return at(p, s.at+off+i*signedRow) }

// start rounds to the scale that maps the largest magnitude to -4.
func (r *refine) start(s *refined) {
	inverse := r.div(r.eachF32(-4), s.row(r.groups, signedTop, 0))
	top := r.eachF32(3)
	s.sumlx, s.suml2 = r.isa.zero(), r.isa.zero()
	r.elements(func(p reg.GPVirtual, i int) {
		q := r.mul(inverse, s.row(p, signedX, i))
		r.round(q)
		q = r.min(q, top)
		wxl, wll := r.mul(q, s.row(p, signedWX, i)), r.mul(r.mul(q, s.row(p, signedW, i)), q)
		r.store(q, s.row(p, signedL, i))
		r.store(wxl, s.row(p, signedWXL, i))
		r.store(wll, s.row(p, signedWLL, i))
		VADDPS(wxl, s.sumlx, s.sumlx)
		VADDPS(wll, s.suml2, s.suml2)
	})
}

// passes moves quants until no more moves, at most five times over.
func (r *refine) passes() {
	left, moved, pass, done := GP64(), GP32(), label("pass"), label("done")
	MOVQ(U32(5), left)
	Label(pass)
	XORL(moved, moved)
	r.elements(func(p reg.GPVirtual, i int) {
		for k := range r.sets {
			r.move(&r.sets[k], p, i, moved)
		}
	})
	TESTL(moved, moved)
	JZ(LabelRef(done))
	DECQ(left)
	JNZ(LabelRef(pass))
	Label(done)
}

// move tries the quant that is best for element i as the others are, and sets bits of moved where that is an improvement. After
// the first pass few groups have another quant to try, and branching around the rest of the work also spares the wait for it.
func (r *refine) move(s *refined, p reg.GPVirtual, i int, moved reg.GPVirtual) {
	slx, sl2 := r.sub(s.sumlx, s.row(p, signedWXL, i)), r.sub(s.suml2, s.row(p, signedWLL, i))
	q := r.div(r.mul(sl2, s.row(p, signedX, i)), slx)
	r.nearest(q)
	better := r.compareIn(r.compare(cmpGT, slx, r.zero), cmpUnequal, q, s.row(p, signedL, i))
	next := label("next")
	r.jumpNone(better, next)
	wxl, wll := r.mul(q, s.row(p, signedWX, i)), r.mul(r.mul(q, s.row(p, signedW, i)), q)
	VADDPS(wxl, slx, slx)
	VADDPS(wll, sl2, sl2)
	better = r.compareIn(better, cmpGT, sl2, r.zero)
	better = r.compareIn(better, cmpGT, r.mul(r.mul(slx, slx), s.suml2), r.mul(r.mul(s.sumlx, s.sumlx), sl2))
	r.storeWhere(better, q, s.row(p, signedL, i))
	r.storeWhere(better, wxl, s.row(p, signedWXL, i))
	r.storeWhere(better, wll, s.row(p, signedWLL, i))
	r.set(better, slx, s.sumlx)
	r.set(better, sl2, s.suml2)
	ORL(r.bits(better), moved)
	Label(next)
}

// nearest rounds to -4..3, as nearestInt does even where that is out of its range.
func (r *refine) nearest(q reg.VecVirtual) {
	VADDPS(r.magic, q, q)
	if r.wide() {
		VPTERNLOGD(U8(0xea), r.bias, r.low, q) // q&low | bias
	} else {
		VANDPS(r.low, q, q)
		VORPS(r.bias, q, q)
	}
	VPMAXSD(r.least, q, q)
	VPMINSD(r.most, q, q)
	VSUBPS(r.magic, q, q)
}

// constant is a vector of the same 32 bits: a register, or memory where there are few of these.
func (r *refine) constant(bits uint32) Op {
	if r.wide() {
		return r.each32(bits)
	}
	return table(fmt.Sprintf("vector_%08x", bits), bits, bits, bits, bits, bits, bits, bits, bits)
}

// compareIn is the mask of the lanes of m where the predicate holds.
func (s isa) compareIn(m mask, predicate uint8, a reg.VecVirtual, b Op) mask {
	if s.wide() {
		k := mask{K()}
		VCMPPS(U8(predicate), b, a, m, k)
		return k
	}
	return s.both(m, s.compare(predicate, a, b))
}

// finish stores the scales.
func (r *refine) finish(s *refined) {
	positive := r.compare(cmpGT, s.suml2, r.zero)
	r.store(r.only(positive, r.div(s.sumlx, s.suml2)), s.row(r.groups, signedScale, 0))
}
