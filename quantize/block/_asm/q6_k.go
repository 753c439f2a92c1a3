package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

func init() {
	generators["q6_k"] = func() {
		f := &signedFinish{isa: isas[1], size: 210, n: 32}
		f.generate("Q6K", "", f.scalesQ6K, f.packQ6K)
	}
}

// scalesQ6K rounds the scales to int8 under a common one. Where they are tiny, the super-block is one of zeros.
func (f *signedFinish) scalesQ6K() pairOf {
	const scalesAt, scaleAt = 192, 208
	scale := f.finiteScales()
	most, top := f.largest(scale)
	f.jumpAny(f.compare(cmpLT, most, f.eachF32(tinyGroup)), f.portable)
	inverse := f.div(f.eachF32(-128), top)
	d := f.storeScale(f.div(f.eachF32(1), inverse), scaleAt)
	var rounded pairOf
	for i, v := range scale {
		q := f.nearest(f.mul(v, inverse))
		VPMINSD(f.each32(127), q, q)
		scale[i], rounded[i] = q, f.vec()
		VCVTDQ2PS(q, rounded[i])
		VMULPS(d, rounded[i], rounded[i])
	}
	bytes := f.vec()
	f.pack16(scale[0], scale[1], bytes)
	VMOVDQU(bytes.AsX(), at(f.y, scalesAt))
	return rounded
}

// packQ6K lays out each half as four runs of 32: runs 0 and 2 share bytes, 1 and 3 share bytes.
func (f *signedFinish) packQ6K(q [8]reg.VecVirtual) {
	const highAt = 128
	for half := range 2 {
		r := q[4*half : 4*half+4]
		for i := range 2 {
			lo, hi := f.and(eachByte(0x0f), r[i]), f.vec()
			VPSLLW(U8(4), r[i+2], hi)
			f.store(f.or(f.and(eachByte(0xf0), hi), lo), at(f.y, 64*half+32*i))
		}
		VPSRLW(U8(4), r[0], r[0])
		VPSRLW(U8(2), r[1], r[1])
		VPSLLW(U8(2), r[3], r[3])
		low := f.or(f.and(eachByte(0x03), r[0]), f.and(eachByte(0x0c), r[1]))
		high := f.or(f.and(eachByte(0x30), r[2]), f.and(eachByte(0xc0), r[3]))
		f.store(f.or(low, high), at(f.y, highAt+32*half))
	}
}
