package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// quants rounds the elements under the groups' rounded scales and returns the quants plus n, 32 bytes a vector. It spares the
// division: where products with a little less and a little more than the inverse round to the same integer, so does the quotient.
func (f *signedFinish) quants(bytes Mem) [8]reg.VecVirtual {
	byGroup, done := label("byGroup"), label("done")
	rounded := f.pair(fitsRounded)
	f.jumpAny(f.either(f.compare(cmpEQ, rounded[0], f.zero()), f.compare(cmpEQ, rounded[1], f.zero())), byGroup)
	var q [8]reg.VecVirtual
	for i := range q {
		q[i] = f.vec()
	}
	differ := f.zero()
	for i := range q {
		var v [4]reg.VecVirtual
		for half := range 2 {
			group := 4 * (2*i + half)
			below, above := f.broadcast(at(f.fits, fitsBelow+group)), f.broadcast(at(f.fits, fitsAbove+group))
			for k := 2 * half; k < 2*half+2; k++ {
				x := f.load(at(f.x, 128*i+32*k))
				v[k] = f.nearest(f.mul(x, below))
				other := f.nearest(f.mul(x, above))
				VPXOR(v[k], other, other)
				VPOR(other, differ, differ)
			}
		}
		VPACKSSDW(v[1], v[0], v[0])
		VPACKSSDW(v[3], v[2], v[2])
		VPACKSSWB(v[2], v[0], v[0])
		VPERMD(v[0], f.load(table("quads", 0, 4, 1, 5, 2, 6, 3, 7)), q[i])
		f.offset(q[i])
	}
	VPTEST(differ, differ)
	JZ(LabelRef(done))

	Label(byGroup)
	f.quantsByGroup(bytes)
	for i := range q {
		VMOVDQU(bytes.Offset(32*i), q[i])
	}
	Label(done)
	return q
}

// quantsByGroup writes the quants group by group: where a rounded scale is zero those that the search found. An inverse of NaN
// says that those are not known.
func (f *signedFinish) quantsByGroup(to Mem) {
	g, x, q := GP64(), GP64(), GP64()
	XORQ(g, g)
	MOVQ(f.x, x)
	LEAQ(to, q)
	next, fitted, store := label("group"), label("fitted"), label("store")
	Label(next)
	lo, hi := f.load(at(x, 0)), f.load(at(x, 32))
	of := func(row int) Mem { return Mem{Base: f.fits, Disp: row, Index: g, Scale: 4} }
	d, bytes := f.broadcast(of(fitsRounded)), f.vec()
	VUCOMISS(f.zero().AsX(), d.AsX())
	JEQ(LabelRef(fitted))
	f.sixteen(f.div(lo, d), f.div(hi, d), bytes)
	JMP(LabelRef(store))
	Label(fitted)
	inverse := f.broadcast(of(fitsInverse))
	VUCOMISS(inverse.AsX(), inverse.AsX())
	JPS(LabelRef(f.portable)) // NaN
	f.sixteen(f.mul(lo, inverse), f.mul(hi, inverse), bytes)
	VANDPS(f.compare(cmpUnequal, inverse, f.zero()), bytes, bytes)
	Label(store)
	VMOVDQU(bytes.AsX(), at(q, 0))
	ADDQ(U8(16), q)
	ADDQ(U8(64), x)
	INCQ(g)
	CMPQ(g, U8(16))
	JLT(LabelRef(next))
}

// nearest is the value rounded, as an integer, for magnitudes below 2^31.
func (f *signedFinish) nearest(v reg.VecVirtual) reg.VecVirtual {
	q := f.vec()
	VCVTPS2DQ(v, q)
	return q
}

// sixteen rounds 16 values to bytes.
func (f *signedFinish) sixteen(lo, hi, bytes reg.VecVirtual) {
	f.pack16(f.nearest(lo), f.nearest(hi), bytes)
	f.offset(bytes)
}

// pack16 puts the low bytes of 16 integers of a byte's range in the first half of out.
func (f *signedFinish) pack16(lo, hi, out reg.VecVirtual) {
	v := f.op(VPACKSSDW, lo, hi)
	VPERMQ(U8(0xd8), v, v)
	VEXTRACTI128(U8(1), v, out.AsX())
	VPACKSSWB(out.AsX(), v.AsX(), out.AsX())
}

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
