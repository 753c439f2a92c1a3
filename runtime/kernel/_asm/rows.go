package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

func init() { generators["rows"] = sumBlocks }

// sumBlocks writes what adds rows' blocks of Q8_0, each times its row's weight: row i to sums i modulo 8, as MatMul does.
func sumBlocks() {
	TEXT("sumQ8_0AVX2", NOSPLIT, "func(sums *float32, src *byte, weights *float32, stride, eights int)")
	Pragma("noescape")
	Doc("sumQ8_0AVX2 adds to sums, [4][8][8], a block each of eight times so many rows, stride bytes apart, times their weights.")
	sums, src, stride := Load(Param("sums"), GP64()), Load(Param("src"), GP64()), Load(Param("stride"), GP64())
	parts, row, weights, eights := GP64(), GP64(), GP64(), GP64()
	quants := GP64()
	MOVQ(U32(4), parts)
	LEAQ(Mem{Base: src, Disp: 2}, quants)
	Label("part")
	var acc [8]reg.VecVirtual
	for i := range acc {
		acc[i] = ymm(Mem{Base: sums, Disp: 32 * i})
	}
	MOVQ(src, row)
	MOVQ(quants, src) // rows' quants, while row is their scales
	Load(Param("weights"), weights)
	Load(Param("eights"), eights)
	Label("eight")
	for i := range acc {
		v, scale, weight := YMM(), XMM(), YMM()
		VPMOVSXBD(Mem{Base: src}, v)
		VCVTDQ2PS(v, v)
		VPBROADCASTW(Mem{Base: row}, scale)
		VCVTPH2PS(scale, scale.AsY())
		VMULPS(scale.AsY(), v, v)
		VBROADCASTSS(Mem{Base: weights, Disp: 4 * i}, weight)
		VFMADD231PS(v, weight, acc[i])
		ADDQ(stride, src)
		ADDQ(stride, row)
	}
	ADDQ(Imm(32), weights)
	DECQ(eights)
	JNZ(LabelRef("eight"))
	for i := range acc {
		VMOVUPS(acc[i], Mem{Base: sums, Disp: 32 * i})
	}
	Load(Param("src"), src)
	ADDQ(Imm(8), quants)
	ADDQ(U32(256), sums)
	DECQ(parts)
	JNZ(LabelRef("part"))
	VZEROUPPER()
	RET()
}
