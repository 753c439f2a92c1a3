package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

func init() {
	generators["inputs"] = func() {
		putGroup("Q8_K", 16)
		putGroup("Q8_0", 2)
		putGroupAVX2("Q8_K", 8)
		putGroupAVX2("Q8_0", 1)
	}
}

// putGroup writes a kernel that rounds a group in blocks of this many lanes. It leaves groups with a value that is not
// finite, or a scale that is zero or not finite, to the portable form.
func putGroup(name string, lanes int) {
	TEXT("put"+name+"AVX512", NOSPLIT, "func(dst *int8, src *float32) (done bool)")
	Pragma("noescape")
	Doc("put" + name + "AVX512 is the AVX-512 form of putGroupGeneric.")
	dst, src := Load(Param("dst"), GP64()), Load(Param("src"), GP64())
	abs := lanesOf("abs", func(int) uint32 { return 1<<31 - 1 })
	constants := of127And1()
	var q [4]reg.VecVirtual
	for b := 0; b < 16; b += lanes {
		inverse := scaleOf(dst, src, abs, constants, b, lanes)
		for l := b; l < b+lanes; l++ {
			v, x := ZMM(), XMM()
			VMULPS(Mem{Base: src, Disp: 64 * l}, inverse, v)
			VCVTPS2DQ(v, v)
			VPMOVDB(v, x)
			if l%4 == 0 {
				q[l/4] = ZMM()
				VMOVDQA32(x.AsZ(), q[l/4])
			} else {
				VINSERTI32X4(Imm(uint64(l%4)), x, q[l/4], q[l/4])
			}
		}
	}
	putQuants(q, natural, dst)
	putInputSums(dst, laneSums(q))
	returnBool(1)
	Label("leave")
	returnBool(0)
}

func of127And1() Mem { return table("constants", []byte{0, 0, 0xfe, 0x42, 0, 0, 0x80, 0x3f}) }

func returnBool(v uint64) {
	r := GP8()
	MOVB(U8(v), r)
	Store(r, ReturnIndex(0))
	VZEROUPPER()
	RET()
}

// scaleOf stores the scale of lanes b to b+lanes-1 and is its inverse.
func scaleOf(dst, src reg.Register, abs reg.VecVirtual, constants Mem, b, lanes int) reg.VecVirtual {
	top := ZMM()
	VPANDD(Mem{Base: src, Disp: 64 * b}, abs, top)
	for l := b + 1; l < b+lanes; l++ {
		v := ZMM()
		VPANDD(Mem{Base: src, Disp: 64 * l}, abs, v)
		VPMAXUD(v, top, top) // as integers, infinities and NaNs are the largest
	}
	y := YMM()
	VEXTRACTI64X4(Imm(1), top, y)
	VPMAXUD(y, top.AsY(), y)
	x := XMM()
	VEXTRACTI32X4(Imm(1), y, x)
	inverse, scale := scaleAt(y, x, constants, lanes == 16)
	all := ZMM()
	VBROADCASTSS(scale, all)
	if lanes == 16 {
		VMOVUPS(all.AsY(), Mem{Base: dst, Disp: inputScales})
	} else {
		VMOVSS(all.AsX(), Mem{Base: dst, Disp: inputScales + 2*b})
	}
	out := ZMM()
	VBROADCASTSS(inverse, out)
	return out
}

// scaleAt is the scale, and its inverse, of values whose largest magnitude is in y; x is its upper half.
func scaleAt(y, x reg.VecVirtual, constants Mem, super bool) (inverse, scale reg.VecVirtual) {
	t := XMM()
	VPMAXUD(x, y.AsX(), x)
	for _, swap := range []uint64{0x4e, 0xb1} {
		VPSHUFD(Imm(swap), x, t)
		VPMAXUD(t, x, x)
	}
	bits := GP32()
	VMOVD(x, bits)
	SUBL(U32(0x0c000000), bits) // 2^-103: the inverse of smaller values may overflow
	CMPL(bits, U32(0x7f800000-0x0c000000))
	JAE(LabelRef("leave"))
	of127 := XMM()
	inverse, scale = XMM(), XMM()
	VMOVSS(constants, of127)
	VDIVSS(x, of127, inverse)
	if super {
		VMOVSS(constants.Offset(4), of127)
		VDIVSS(inverse, of127, scale)
		return inverse, scale
	}
	VDIVSS(of127, x, scale)
	VCVTPS2PH(Imm(0), scale, scale)
	VCVTPH2PS(scale, scale)
	VMOVD(scale, bits)
	DECL(bits)
	CMPL(bits, U32(0x7f800000-1))
	JAE(LabelRef("leave"))
	return inverse, scale
}

// laneSums is the sums of lanes of four vectors' quants.
func laneSums(q [4]reg.VecVirtual) reg.VecVirtual {
	ones := eachByte(1)
	for j := range q {
		sum := ZMM()
		VPXORD(sum, sum, sum)
		VPDPBUSD(q[j], ones, sum)
		q[j] = sum
	}
	add := func(low, high func(...Op), a, b reg.VecVirtual) reg.VecVirtual {
		l, h := ZMM(), ZMM()
		low(b, a, l)
		high(b, a, h)
		VPADDD(h, l, l)
		return l
	}
	lowD, highD := func(o ...Op) { VPUNPCKLDQ(o[0], o[1], o[2]) }, func(o ...Op) { VPUNPCKHDQ(o[0], o[1], o[2]) }
	lowQ, highQ := func(o ...Op) { VPUNPCKLQDQ(o[0], o[1], o[2]) }, func(o ...Op) { VPUNPCKHQDQ(o[0], o[1], o[2]) }
	all := add(lowQ, highQ, add(lowD, highD, q[0], q[1]), add(lowD, highD, q[2], q[3]))
	VPERMD(all, lanesOf("transposed4", func(l int) uint32 { return uint32(l%4*4 + l/4) }), all)
	return all
}

// putInputSums stores what inputs have of the sums of their lanes.
func putInputSums(dst reg.Register, sum reg.VecVirtual) {
	at := func(n int) Mem { return Mem{Base: dst, Disp: n} }
	zero, bias, pairs, words := ZMM(), ZMM(), ZMM(), YMM()
	VPXORD(zero, zero, zero)
	VPSHUFD(Imm(0xb1), sum, pairs)
	VPADDD(sum, pairs, pairs)
	VPSLLD(Imm(7), sum, bias)
	VPSUBD(bias, zero, bias)
	VMOVDQU32(bias, at(inputBias16))
	VPSLLD(Imm(7), pairs, bias)
	VPSUBD(bias, zero, bias)
	VPMOVQD(bias, at(inputBias32))
	VPERMD(sum, lanesOf("evenLanes", func(l int) uint32 { return uint32(l%8*2 + l/8) }), sum)
	VPMOVDW(sum, at(inputSums16))
	VPMOVQW(pairs, at(inputSums32))
	VPMOVQD(pairs, words)
	VCVTDQ2PS(words, words)
	VMULPS(at(inputScales), words, words)
	VMOVUPS(words, at(inputSums))
}
