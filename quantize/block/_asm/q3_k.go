package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

func init() {
	generators["q3_k"] = func() {
		avx2 := isas[1]
		f := &signedFinish{isa: avx2, size: 110, n: 4}
		f.generate("Q3K", "", f.scalesQ3K, f.packQ3K)
		f = &signedFinish{isa: avx2, size: 110, n: 4}
		f.generate("ImportantQ3K", ", scale, inverse *float32", f.fittedScalesQ3K, f.packQ3K)
		for _, s := range isas {
			s.still()
			(&refine{isa: s}).generate()
		}
	}
}

const scaleAtQ3K = 108

// scalesQ3K maps the scale of largest magnitude to -32. It leaves super-blocks without scales.
func (f *signedFinish) scalesQ3K() pairOf {
	scale := f.finiteScales()
	most, top := f.largest(scale)
	f.jumpAny(f.compare(cmpEQ, most, f.zero()), f.portable)
	inverse := f.div(f.eachF32(-32), top)
	var l pairOf
	for i, v := range scale {
		// nearestInt, cut to 8 bits before it is clamped, which matters where inverse is infinite.
		l[i] = f.add(f.mul(v, inverse), f.eachF32(12582912))
		VPSLLD(U8(24), l[i], l[i])
		VPSRAD(U8(24), l[i], l[i])
		f.clamp32(l[i])
	}
	return f.packScalesQ3K(l, f.storeScale(f.div(f.eachF32(1), inverse), scaleAtQ3K))
}

// fittedScalesQ3K rounds the scales as they were fitted to.
func (f *signedFinish) fittedScalesQ3K() pairOf {
	scale := f.finiteScales()
	of := func(param string) reg.VecVirtual {
		return f.broadcast(Mem{Base: Load(Param(param), GP64()), Index: f.i, Scale: 4})
	}
	inverse := of("inverse")
	some := f.compare(cmpUnequal, inverse, f.zero())
	var l pairOf
	for i, v := range scale {
		q := f.nearest(f.mul(v, inverse))
		f.clamp32(q)
		l[i] = f.only(some, q)
	}
	return f.packScalesQ3K(l, f.storeScale(of("scale"), scaleAtQ3K))
}

// clamp32 keeps integers in -32..31 and adds 32.
func (f *signedFinish) clamp32(l reg.VecVirtual) {
	VPMAXSD(f.each32(0xffffffe0), l, l)
	VPMINSD(f.each32(31), l, l)
	VPADDD(f.each32(32), l, l)
}

// packScalesQ3K writes scales of six bits and returns them as they are under d.
func (f *signedFinish) packScalesQ3K(l pairOf, d reg.VecVirtual) (rounded pairOf) {
	const scalesAt = 96
	// The low nibbles of 0..7 and 8..15 share eight bytes, the high pairs of g, g+4, g+8, g+12 a byte.
	var shifted pairOf
	for i := range l {
		v := f.op(VPSUBD, l[i], f.each32(32))
		VCVTDQ2PS(v, v)
		rounded[i] = f.mul(v, d)
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
	return rounded
}

// packQ3K packs the lower bits of four runs of 32 in 32 bytes, and the third ones of all.
func (f *signedFinish) packQ3K(q [8]reg.VecVirtual) {
	const lowAt = 32
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
	high := f.zero()
	for run, r := range q { // bit r of byte i belongs to element i of run r
		if run < 2 {
			VPSRLW(U8(2-run), r, r)
		} else {
			VPSLLW(U8(run-2), r, r)
		}
		high = f.or(high, f.and(eachByte(1<<run), r))
	}
	f.store(high, at(f.y, 0))
}
