package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// putGroupAVX2 is putGroup for AVX2: a group has eight blocks of 32, and so many share a scale.
func putGroupAVX2(name string, shared int) {
	TEXT("put"+name+"AVX2", NOSPLIT, "func(dst *int8, src *float32) (done bool)")
	Pragma("noescape")
	Doc("put" + name + "AVX2 is the AVX2 form of putGroupGeneric.")
	dst, src := Load(Param("dst"), GP64()), Load(Param("src"), GP64())
	abs := ymm(bytes32("abs32", func(i int) byte { return []byte{0xff, 0xff, 0xff, 0x7f}[i%4] }))
	var inverse reg.VecVirtual
	var pairs, halves [2]reg.VecVirtual // sums of elements
	for b := range 8 {
		if b%shared == 0 {
			inverse = scaleOf32(dst, src, abs, b, shared)
		}
		one := quants32(dst, src, inverse, b)
		switch {
		case b%2 == 0:
			pairs[b/2%2] = one
			continue
		case b%4 == 1:
			pairs[0] = mergePairs(pairs[0], one)
			continue
		}
		halves[b/4] = mergeHalves(pairs[0], mergePairs(pairs[1], one))
	}
	even, odd := YMM(), YMM() // runs of 16
	VPERM2I128(Imm(0x20), halves[1], halves[0], even)
	VPERM2I128(Imm(0x31), halves[1], halves[0], odd)
	putRunSums(dst, even, odd)
	returnBool(1)
	Label("leave")
	returnBool(0)
}

// scaleOf32 is scaleOf for n blocks of 32 from b on.
func scaleOf32(dst, src reg.Register, abs reg.VecVirtual, b, n int) reg.VecVirtual {
	top := YMM()
	VPAND(Mem{Base: src, Disp: 128 * b}, abs, top)
	for l := 1; l < 4*n; l++ {
		v := YMM()
		VPAND(Mem{Base: src, Disp: 128*b + 32*l}, abs, v)
		VPMAXUD(v, top, top) // as integers, infinities and NaNs are the largest
	}
	x := XMM()
	VEXTRACTI128(Imm(1), top, x)
	inverse, scale := scaleAt(top, x, of127And1(), n == 8)
	if n == 8 {
		all := YMM()
		VBROADCASTSS(scale, all)
		VMOVUPS(all, Mem{Base: dst, Disp: inputScales})
	} else {
		VMOVSS(scale, Mem{Base: dst, Disp: inputScales + 4*b})
	}
	out := YMM()
	VBROADCASTSS(inverse, out)
	return out
}

// quants32 stores the quants of block b, and is the sums of four each.
func quants32(dst, src reg.Register, inverse reg.VecVirtual, b int) reg.VecVirtual {
	var v [4]reg.VecVirtual
	for l := range v {
		v[l] = YMM()
		VMULPS(Mem{Base: src, Disp: 128*b + 32*l}, inverse, v[l])
		VCVTPS2DQ(v[l], v[l])
	}
	VPACKSSDW(v[1], v[0], v[0])
	VPACKSSDW(v[3], v[2], v[2])
	VPACKSSWB(v[2], v[0], v[0])
	order := ymm(bytes32("packed", func(i int) byte { return []byte{0, 4, 1, 5, 2, 6, 3, 7}[i/4] * byte(1-min(1, i%4)) }))
	VPERMD(v[0], order, v[0])
	VMOVDQU(v[0], Mem{Base: dst, Disp: 32 * b})
	ones := ymm(each32(1))
	VPMADDUBSW(v[0], ones, ones)
	VPMADDWD(ones16(), ones, ones)
	return ones
}

// putRunSums stores what inputs have of the sums of runs of 16.
func putRunSums(dst reg.Register, even, odd reg.VecVirtual) {
	at := func(n int) Mem { return Mem{Base: dst, Disp: n} }
	zero, both, words := YMM(), YMM(), YMM()
	VPXOR(zero, zero, zero)
	VPADDD(odd, even, both)
	VPACKSSDW(odd, even, words)
	VPERMQ(Imm(0xd8), words, words)
	VMOVDQU(words, at(inputSums16))
	VPACKSSDW(both, both, words)
	VPERMQ(Imm(0xd8), words, words)
	VMOVDQU(words.AsX(), at(inputSums32))
	bias := func(sums reg.VecVirtual, to Mem) {
		v := YMM()
		VPSLLD(Imm(7), sums, v)
		VPSUBD(v, zero, v)
		VMOVDQU(v, to)
	}
	bias(both, at(inputBias32))
	low, high, first, last := YMM(), YMM(), YMM(), YMM()
	VPUNPCKLDQ(odd, even, low)
	VPUNPCKHDQ(odd, even, high)
	VPERM2I128(Imm(0x20), high, low, first)
	VPERM2I128(Imm(0x31), high, low, last)
	bias(first, at(inputBias16))
	bias(last, at(inputBias16+32))
	VCVTDQ2PS(both, both)
	VMULPS(at(inputScales), both, both)
	VMOVUPS(both, at(inputSums))
}
