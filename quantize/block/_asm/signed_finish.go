package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"

	"github.com/mmcloughlin/avo/attr"
)

// signedFinish generates the last step of a super-block with scales but no mins: the groups' scales rounded, the quants
// under them. It is bound by the divider, which takes larger vectors no faster, so that there is one form, AVX2.
type signedFinish struct {
	isa
	groups, x, y reg.GPVirtual
	n            int // quants are -n..n-1
}

// pairOf are the 16 groups' values.
type pairOf [2]reg.VecVirtual

// Rows of signedGroups that the last step writes: the scales of the groups, rounded, over the elements' extremes, and
// quants over the elements.
const (
	signedRounded = signedTop
	signedQuants  = signedX
)

// generate writes the function: body jumps to "done" where the super-block is encoded, to "portable" where the portable
// form must do it.
func (f *signedFinish) generate(name, more, doc string, body func()) {
	TEXT("finish"+name, attr.NOSPLIT, "func(groups, x *float32, y *byte"+more+") bool")
	Pragma("noescape")
	Doc("finish" + name + " " + doc + " It is false where that is left to the portable form. The groups are used up.")
	f.groups, f.x, f.y = Load(Param("groups"), GP64()).(reg.GPVirtual), Load(Param("x"), GP64()).(reg.GPVirtual), Load(Param("y"), GP64()).(reg.GPVirtual)
	body()
	ok := GP8()
	for i, l := range []string{"portable", "done"} {
		Label(l)
		MOVB(U8(i), ok)
		Store(ok, ReturnIndex(0))
		VZEROUPPER()
		RET()
	}
}

func (f *signedFinish) pair(row int) pairOf {
	return pairOf{f.load(at(f.groups, row)), f.load(at(f.groups, row+32))}
}

// zeros writes a block of zeros.
func (f *signedFinish) zeros(size int) {
	Label("zeros")
	for off := 0; off < size; off += 32 {
		f.store(f.zero(), at(f.y, min(off, size-32)))
	}
	JMP(LabelRef("done"))
}

// largest is the largest magnitude of the row's values, in all lanes, and the first value that has it.
func (f *signedFinish) largest(row int, v pairOf) (most, top reg.VecVirtual) {
	lo, hi := f.abs(v[0]), f.abs(v[1])
	most = f.max(lo, hi)
	other := f.vec()
	VPERM2F128(U8(1), most, most, other)
	most = f.max(most, other)
	VPERMILPS(U8(0x4e), most, other)
	most = f.max(most, other)
	VPERMILPS(U8(0xb1), most, other)
	most = f.max(most, other)
	first, second := f.bits(f.compare(cmpEQ, lo, most)), f.bits(f.compare(cmpEQ, hi, most))
	SHLL(U8(8), second)
	ORL(second, first)
	TZCNTL(first, first)
	return most, f.broadcast(Mem{Base: f.groups, Disp: row, Index: first.As64(), Scale: 4})
}

// storeScale rounds d to a half, stores it in the block and returns it; it leaves the block where that is not finite.
func (f *signedFinish) storeScale(d reg.VecVirtual, off int) reg.VecVirtual {
	bits, exponent := GP32(), GP32()
	VCVTPS2PH(U8(0), d, d.AsX())
	VMOVD(d.AsX(), bits)
	MOVW(bits.As16(), at(f.y, off))
	MOVL(bits, exponent)
	ANDL(U32(0x7c00), exponent)
	CMPL(exponent, U32(0x7c00))
	JEQ(LabelRef("portable"))
	v := f.vec()
	VCVTPH2PS(d.AsX(), v)
	return v
}

// nearest is the value rounded, as an integer, for magnitudes below 2^31.
func (f *signedFinish) nearest(v reg.VecVirtual) reg.VecVirtual {
	q := f.vec()
	VCVTPS2DQ(v, q)
	return q
}

// quants rounds the elements under the groups' rounded scales, or where such a scale is zero under the search's, and
// returns the quants plus n, 32 bytes a vector. It leaves a block where a rounding could be out of nearestInt's range, or
// the search's inverse is NaN, which says that its quants are others.
func (f *signedFinish) quants(scales pairOf) [8]reg.VecVirtual {
	most, zero := f.pair(signedMost), f.zero()
	var far, none pairMask
	for i, d := range scales {
		f.store(d, at(f.groups, signedRounded+32*i))
		none[i] = f.compare(cmpEQ, d, zero)
		far[i] = f.compare(cmpNGE, f.mul(f.abs(d), f.eachF32(1<<21)), most[i])
		VANDNPS(far[i], none[i], far[i])
	}
	f.jumpAny(f.either(far[0], far[1]), "portable")
	byGroup, done := label("byGroup"), label("quants")
	f.jumpAny(f.either(none[0], none[1]), byGroup)

	var q [8]reg.VecVirtual
	for i := range q {
		q[i] = f.vec()
	}
	for i := range q {
		var v [4]reg.VecVirtual
		for k := range v {
			v[k] = f.nearest(f.div(f.load(at(f.x, 128*i+32*k)), f.broadcast(at(f.groups, signedRounded+4*(2*i+k/2)))))
		}
		VPACKSSDW(v[1], v[0], v[0])
		VPACKSSDW(v[3], v[2], v[2])
		VPACKSSWB(v[2], v[0], v[0])
		VPERMD(v[0], f.load(table("quads", 0, 4, 1, 5, 2, 6, 3, 7)), q[i])
		f.offset(q[i])
	}
	JMP(LabelRef(done))

	Label(byGroup)
	f.quantsByGroup()
	for i := range q {
		VMOVDQU(at(f.groups, signedQuants+32*i), q[i])
	}
	Label(done)
	return q
}

type pairMask [2]mask

// offset keeps bytes in -n..n-1 and adds n.
func (f *signedFinish) offset(q reg.VecVirtual) {
	VPMINSB(eachByte(f.n-1), q, q)
	VPMAXSB(eachByte(-f.n), q, q)
	VPADDB(eachByte(f.n), q, q)
}

// eachByte is a place in memory that holds 32 equal bytes.
func eachByte(b int) Mem {
	w := uint32(uint8(b)) * 0x01010101
	return table(fmt.Sprintf("bytes_%02x", uint8(b)), w, w, w, w, w, w, w, w)
}

// quantsByGroup writes the quants group by group.
func (f *signedFinish) quantsByGroup() {
	left, x, q, group := GP64(), GP64(), GP64(), GP64()
	MOVQ(U32(16), left)
	MOVQ(f.x, x)
	MOVQ(f.groups, q)
	MOVQ(f.groups, group)
	next, fitted, store := label("group"), label("fitted"), label("store")
	Label(next)
	lo, hi := f.load(at(x, 0)), f.load(at(x, 32))
	d, bytes := f.broadcast(at(group, signedRounded)), f.vec()
	VUCOMISS(f.zero().AsX(), d.AsX())
	JEQ(LabelRef(fitted))
	f.sixteen(f.div(lo, d), f.div(hi, d), bytes)
	JMP(LabelRef(store))
	Label(fitted)
	inverse := f.broadcast(at(group, signedInverse))
	VUCOMISS(inverse.AsX(), inverse.AsX())
	JPS(LabelRef("portable")) // NaN
	f.sixteen(f.mul(lo, inverse), f.mul(hi, inverse), bytes)
	VANDPS(f.compare(cmpUnequal, inverse, f.zero()), bytes, bytes)
	Label(store)
	VMOVDQU(bytes.AsX(), at(q, signedQuants))
	ADDQ(U8(16), q)
	ADDQ(U8(64), x)
	ADDQ(U8(4), group)
	DECQ(left)
	JNZ(LabelRef(next))
}

// sixteen rounds 16 values to bytes.
func (f *signedFinish) sixteen(lo, hi, bytes reg.VecVirtual) {
	lo, hi = f.nearest(lo), f.nearest(hi)
	f.pack16(lo, hi, bytes)
	f.offset(bytes)
}

// pack16 puts the low bytes of 16 integers of a byte's range in the first half of out.
func (f *signedFinish) pack16(lo, hi, out reg.VecVirtual) {
	v := f.op(VPACKSSDW, lo, hi)
	VPERMQ(U8(0xd8), v, v)
	VEXTRACTI128(U8(1), v, out.AsX())
	VPACKSSWB(out.AsX(), v.AsX(), out.AsX())
}
