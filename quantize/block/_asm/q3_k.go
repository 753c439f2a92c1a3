package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

func init() {
	generators["q3_k"] = func() {
		avx2 := isas[1]
		f := &signedFinish{isa: avx2, n: 4}
		f.generate("Q3K", "", "encodes the super-block x, whose groups are rounded, to y.", func() { f.q3K(f.scalesQ3K) })
		f = &signedFinish{isa: avx2, n: 4}
		f.generate("ImportantQ3K", ", scale, inverse float32", "encodes the super-block x, whose groups and their scales are fitted, to y.", func() { f.q3K(f.fittedScalesQ3K) })
		for _, s := range isas {
			s.still()
			(&refine{isa: s, together: map[bool]int{true: 2, false: 1}[s.wide()]}).generate()
		}
	}
}

// q3K packs scales of six bits, which round writes with the common one and returns with 32 added, and quants of three bits.
func (f *signedFinish) q3K(round func(scale pairOf) (scales pairOf, d reg.VecVirtual)) {
	const size, lowAt, scalesAt = 110, 32, 96
	most := f.pair(signedMost)
	f.jumpNone(f.compare(cmpGE, f.max(most[0], most[1]), f.eachF32(tinyGroup)), "zeros")
	scale := f.pair(signedScale)
	f.jumpAny(f.either(f.notFinite(scale[0]), f.notFinite(scale[1])), "portable")
	l, d := round(scale)
	var rounded pairOf
	for i := range l {
		v := f.op(VPSUBD, l[i], f.each32(32))
		VCVTDQ2PS(v, v)
		rounded[i] = f.mul(d, v)
	}
	// The low nibbles of 0..7 and 8..15 share eight bytes, the high pairs of g, g+4, g+8, g+12 a byte.
	var shifted pairOf
	for i := range l {
		shifted[i] = f.vec()
		VPSRLD(U8(4), l[i], shifted[i])
		l[i] = f.and(l[i], f.each32(15))
	}
	VPSLLD(U8(4), l[1], l[1])
	VPSLLD(U8(4), shifted[1], shifted[1])
	nibbles, pairs, above := f.or(l[0], l[1]), f.or(shifted[0], shifted[1]), f.vec()
	VEXTRACTI128(U8(1), pairs, above.AsX())
	VPSLLD(U8(2), above.AsX(), above.AsX())
	VPOR(above.AsX(), pairs.AsX(), pairs.AsX())
	VEXTRACTI128(U8(1), nibbles, above.AsX())
	VPACKUSDW(above.AsX(), nibbles.AsX(), nibbles.AsX())
	VPACKUSDW(pairs.AsX(), pairs.AsX(), pairs.AsX())
	VPACKUSWB(pairs.AsX(), nibbles.AsX(), nibbles.AsX())
	VMOVQ(nibbles.AsX(), at(f.y, scalesAt))
	VPEXTRD(U8(2), nibbles.AsX(), at(f.y, scalesAt+8))

	q := f.quants(rounded)
	for half := range 2 {
		r := q[4*half : 4*half+4]
		low := f.and(eachByte(3), r[0])
		for i, mask := range []int{3 << 2, 3 << 4, 3 << 6} {
			v := f.vec()
			VPSLLW(U8(2+2*i), r[1+i], v)
			low = f.or(low, f.and(eachByte(mask), v))
		}
		f.store(low, at(f.y, lowAt+32*half))
	}
	var high reg.VecVirtual
	for run, r := range q { // bit r of byte i belongs to element i of run r
		if run < 2 {
			VPSRLW(U8(2-run), r, r)
		} else {
			VPSLLW(U8(run-2), r, r)
		}
		r = f.and(eachByte(1<<run), r)
		if run > 0 {
			r = f.or(r, high)
		}
		high = r
	}
	f.store(high, at(f.y, 0))
	JMP(LabelRef("done"))
	f.zeros(size)
}

// scalesQ3K maps the scale of largest magnitude to -32.
func (f *signedFinish) scalesQ3K(scale pairOf) (l pairOf, d reg.VecVirtual) {
	const scaleAt = 108
	most, top := f.largest(signedScale, scale)
	f.jumpNone(f.compare(cmpUnequal, most, f.zero()), "portable")
	inverse := f.div(f.eachF32(-32), top)
	for i, v := range scale {
		// nearestInt, cut to 8 bits before it is clamped, which matters where inverse is infinite.
		l[i] = f.add(f.mul(v, inverse), f.eachF32(12582912))
		VPSLLD(U8(24), l[i], l[i])
		VPSRAD(U8(24), l[i], l[i])
		f.clamp32(l[i])
	}
	return l, f.storeScale(f.div(f.eachF32(1), inverse), scaleAt)
}

// clamp32 keeps integers in -32..31 and adds 32.
func (f *signedFinish) clamp32(l reg.VecVirtual) {
	VPMAXSD(f.each32(uint32(0xffffffe0)), l, l)
	VPMINSD(f.each32(31), l, l)
	VPADDD(f.each32(32), l, l)
}

// fittedScalesQ3K rounds the scales as they were fitted to.
func (f *signedFinish) fittedScalesQ3K(scale pairOf) (l pairOf, d reg.VecVirtual) {
	const scaleAt = 108
	inverse := f.vec()
	VBROADCASTSS(Load(Param("inverse"), XMM()), inverse)
	some := f.compare(cmpUnequal, inverse, f.zero())
	for i, v := range scale {
		l[i] = f.nearest(f.mul(v, inverse))
		f.clamp32(l[i])
		l[i] = f.only(some, l[i])
	}
	common := f.vec()
	VBROADCASTSS(Load(Param("scale"), XMM()), common)
	return l, f.storeScale(common, scaleAt)
}
