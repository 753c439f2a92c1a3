package main

import (
	"github.com/mmcloughlin/avo/attr"
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// signedFinish generates the last step of super-blocks with scales but no mins: the groups' scales rounded, then the quants
// under them. Scales of all super-blocks come first, as each takes long, but not the next one's. There is one form, AVX2:
// larger vectors would spare nothing.
type signedFinish struct {
	isa
	fits, x, y reg.GPVirtual // of a super-block
	left, i    reg.GPVirtual // bits of super-blocks for the portable form; the super-block's number
	portable   string        // where to go to leave a super-block
	size       int           // of an encoded super-block
	n          int           // quants are -n..n-1
}

// pairOf are the 16 groups' values.
type pairOf [2]reg.VecVirtual

// Layout of signedFits: rows of 16 lanes.
const (
	fitsMost    = 0
	fitsScale   = 64
	fitsInverse = 128
	fitsRounded = 192 // scales as they were rounded,
	fitsBelow   = 256 // a little less than their inverses,
	fitsAbove   = 320 // a little more
	fitsSize    = 384
)

// generate writes the function. scales writes a super-block's scales and returns them as they were rounded; pack writes the
// quants, of which it gets 32 bytes a vector.
func (f *signedFinish) generate(name, more string, scales func() pairOf, pack func(q [8]reg.VecVirtual)) {
	TEXT("finish"+name, attr.NOSPLIT, "func(fits, x *float32, y *byte, n int"+more+") (left uint)")
	Pragma("noescape")
	Doc("finish"+name+" encodes n super-blocks, whose groups are fitted, and returns a bit for each that is left to the portable", "form.")
	f.fits, f.x, f.y, f.left, f.i = GP64(), GP64(), GP64(), GP64(), GP64()
	XORQ(f.left, f.left)
	f.each("scales", func() {
		most := f.pair(fitsMost)
		rounded := scales()
		f.inverses(rounded, most)
	})
	quants := AllocLocal(256)
	f.each("quants", func() { pack(f.quants(quants)) })
	VZEROUPPER()
	Store(f.left, ReturnIndex(0))
	RET()
}

// each runs body for the super-blocks.
func (f *signedFinish) each(name string, body func()) {
	Load(Param("fits"), f.fits)
	Load(Param("x"), f.x)
	Load(Param("y"), f.y)
	n := Load(Param("n"), GP64())
	XORQ(f.i, f.i)
	l, next := label(name), label("next")
	f.portable = label("portable")
	Label(l)
	body()
	JMP(LabelRef(next))
	Label(f.portable)
	BTSQ(f.i, f.left)
	Label(next)
	ADDQ(U32(fitsSize), f.fits)
	ADDQ(U32(1024), f.x)
	ADDQ(U32(f.size), f.y)
	INCQ(f.i)
	CMPQ(f.i, n)
	JLT(LabelRef(l))
}

func (f *signedFinish) pair(row int) pairOf {
	return pairOf{f.load(at(f.fits, row)), f.load(at(f.fits, row+32))}
}

func (f *signedFinish) storePair(v pairOf, row int) {
	f.store(v[0], at(f.fits, row))
	f.store(v[1], at(f.fits, row+32))
}

// finiteScales are the groups' scales. It leaves super-blocks where one is not finite.
func (f *signedFinish) finiteScales() pairOf {
	scale := f.pair(fitsScale)
	f.jumpAny(f.either(f.notFinite(scale[0]), f.notFinite(scale[1])), f.portable)
	return scale
}

// largest is the largest magnitude of the groups' scales, in all lanes, and the first scale that has it.
func (f *signedFinish) largest(scale pairOf) (most, top reg.VecVirtual) {
	lo, hi := f.abs(scale[0]), f.abs(scale[1])
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
	return most, f.broadcast(Mem{Base: f.fits, Disp: fitsScale, Index: first.As64(), Scale: 4})
}

// storeScale rounds d, the same in all lanes, to a half, stores it in the super-block and returns it; it leaves super-blocks where that is not finite.
func (f *signedFinish) storeScale(d reg.VecVirtual, off int) reg.VecVirtual {
	bits, exponent, v := GP32(), GP32(), f.vec()
	VCVTPS2PH(U8(0), d, d.AsX())
	VMOVD(d.AsX(), bits)
	MOVW(bits.As16(), at(f.y, off))
	MOVL(bits, exponent)
	ANDL(U32(0x7c00), exponent)
	CMPL(exponent, U32(0x7c00))
	JEQ(LabelRef(f.portable))
	VCVTPH2PS(d.AsX(), v)
	return v
}

// inverses stores what quants needs of rounded scales. It leaves super-blocks where a rounding could be out of nearestInt's
// range.
func (f *signedFinish) inverses(rounded, most pairOf) {
	var far [2]mask
	for i, d := range rounded {
		far[i] = f.compare(cmpNGE, f.mul(f.abs(d), f.eachF32(1<<21)), most[i])
		VANDNPS(far[i], f.compare(cmpEQ, d, f.zero()), far[i])
	}
	f.jumpAny(f.either(far[0], far[1]), f.portable)
	f.storePair(rounded, fitsRounded)
	for i, d := range rounded {
		inverse := f.div(f.eachF32(1), d)
		f.store(f.mul(inverse, f.eachF32(1-0x1p-21)), at(f.fits, fitsBelow+32*i))
		f.store(f.mul(inverse, f.eachF32(1+0x1p-21)), at(f.fits, fitsAbove+32*i))
	}
}
