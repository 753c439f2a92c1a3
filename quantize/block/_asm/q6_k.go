package main

import (
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
)

func init() {
	generators["q6_k"] = func() {
		f := &signedFinish{isa: isas[1], n: 32}
		f.generate("Q6K", "", "encodes the super-block x, whose groups are fitted, to y.", f.q6K)
	}
}

// q6K rounds the scales to int8 under a common one, and packs quants of six bits.
func (f *signedFinish) q6K() {
	const size, highAt, scalesAt, scaleAt = 210, 128, 192, 208
	scale := f.pair(signedScale)
	f.jumpAny(f.either(f.notFinite(scale[0]), f.notFinite(scale[1])), "portable")
	most, top := f.largest(signedScale, scale)
	VUCOMISS(const32(math.Float32bits(tinyGroup)), most.AsX())
	JCS(LabelRef("zeros"))
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

	q := f.quants(rounded)
	for half := range 2 {
		r := q[4*half : 4*half+4]
		for i := range 2 { // runs 0 and 2 share bytes, 1 and 3 share bytes
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
	JMP(LabelRef("done"))
	f.zeros(size)
}
