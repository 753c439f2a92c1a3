package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

func init() {
	generators["products"] = func() {
		for _, mins := range []bool{false, true} {
			products(4, 4, mins)
			products(4, 1, mins)
			products(1, 1, mins)
		}
	}
}

// Places in groups of weights and inputs: four vectors of quants come first.
const (
	weightScales, weightMins, weightSize         = 256, 320, 384
	inputBias, inputScales, inputSums, inputSize = 256, 320, 384, 448
)

// rowsOf is the places n bytes behind groups in up to four rows.
type rowsOf struct{ base, stride, stride3 reg.Register }

func newRowsOf(ptr string, size int, stride reg.Register, rows int) rowsOf {
	r := rowsOf{base: Load(Param(ptr), GP64())}
	if rows > 1 {
		s, s3 := GP64(), GP64()
		IMUL3Q(U32(size), stride, s)
		LEAQ(Mem{Base: s, Index: s, Scale: 2}, s3)
		r.stride, r.stride3 = s, s3
	}
	return r
}

func (r rowsOf) at(row, n int) Mem {
	switch row {
	case 1, 2:
		return Mem{Base: r.base, Index: r.stride, Scale: uint8(row), Disp: n}
	case 3:
		return Mem{Base: r.base, Index: r.stride3, Scale: 1, Disp: n}
	}
	return Mem{Base: r.base, Disp: n}
}

func zmm(m Mem) reg.VecVirtual {
	v := ZMM()
	VMOVDQU32(m, v)
	return v
}

// products writes the integer products of rows rows of weights and cols rows of inputs.
func products(rows, cols int, mins bool) {
	name := "products"
	if mins {
		name += "Mins"
	}
	name += fmt.Sprintf("%dx%dAVX512", rows, cols)
	TEXT(name, NOSPLIT, "func(dst *float32, w *uint8, x *int8, ldd, ldx, groups int)")
	Pragma("noescape")
	Doc(name + " is the AVX-512 form of productsGeneric for a tile of fixed size.")
	groups := Load(Param("groups"), GP64())
	w, x := newRowsOf("w", weightSize, groups, rows), newRowsOf("x", inputSize, Load(Param("ldx"), GP64()), cols)
	acc := make([][]reg.VecVirtual, cols)
	for c := range acc {
		acc[c] = make([]reg.VecVirtual, rows)
		for r := range acc[c] {
			acc[c][r] = ZMM()
			VXORPS(acc[c][r], acc[c][r], acc[c][r])
		}
	}
	Label("group")
	in := make([]inputGroup, cols)
	for c := range in {
		in[c] = inputGroup{x, c, nil}
		if cols == 1 && rows > 1 {
			in[c].load()
		}
	}
	for r := range rows {
		var quants [4]reg.VecVirtual
		for j := range quants {
			quants[j] = zmm(w.at(r, 64*j))
		}
		scales := zmm(w.at(r, weightScales))
		var least reg.VecVirtual
		if mins {
			least = zmm(w.at(r, weightMins))
		}
		for c := range in {
			in[c].multiply(quants, scales, least, acc[c][r])
		}
	}
	ADDQ(U32(weightSize), w.base)
	ADDQ(U32(inputSize), x.base)
	DECQ(groups)
	JNZ(LabelRef("group"))
	storeSums(acc)
	VZEROUPPER()
	RET()
}

// inputGroup is a group of row c of the inputs, in registers or in memory.
type inputGroup struct {
	x    rowsOf
	c    int
	regs map[int]reg.VecVirtual
}

func (g *inputGroup) load() {
	g.regs = map[int]reg.VecVirtual{}
	for n := 0; n < inputSize; n += 64 {
		g.regs[n] = zmm(g.x.at(g.c, n))
	}
}

func (g *inputGroup) at(n int) Op {
	if g.regs != nil {
		return g.regs[n]
	}
	return g.x.at(g.c, n)
}

// multiply adds a group's product to acc.
func (g *inputGroup) multiply(quants [4]reg.VecVirtual, scales, least, acc reg.VecVirtual) {
	sum, scale := ZMM(), ZMM()
	VMOVDQA32(g.at(inputBias), sum)
	for j, q := range quants {
		VPDPBUSD(g.at(64*j), q, sum)
	}
	VCVTDQ2PS(sum, sum)
	VMULPS(g.at(inputScales), scales, scale)
	VMULPS(scale, sum, sum)
	VADDPS(sum, acc, acc)
	if least != nil {
		VMULPS(g.at(inputSums), least, scale)
		VSUBPS(scale, acc, acc)
	}
}

// storeSums adds up each accumulator's lanes: in quarters as (0+2)+(1+3), and these the same way.
func storeSums(acc [][]reg.VecVirtual) {
	dst, ldd := Load(Param("dst"), GP64()), Load(Param("ldd"), GP64())
	SHLQ(Imm(2), ldd)
	for c, a := range acc {
		for len(a) > 1 {
			a = halve(a, len(a) == 4)
		}
		low := sumOf(a[0], len(acc[c]) == 1)
		if len(acc[c]) == 1 {
			VMOVSS(low, Mem{Base: dst})
		} else {
			VMOVUPS(low, Mem{Base: dst})
		}
		if c+1 < len(acc) {
			ADDQ(ldd, dst)
		}
	}
}

// sumOf adds quarters of a vector, whose lanes it adds first where they belong to one sum.
func sumOf(s reg.VecVirtual, one bool) reg.VecVirtual {
	if one {
		for _, swap := range []uint64{0x4e, 0xb1} {
			t := ZMM()
			VPERMILPS(Imm(swap), s, t)
			VADDPS(t, s, s)
		}
	}
	high, low := YMM(), XMM()
	VEXTRACTF64X4(Imm(1), s, high)
	VADDPS(high, s.AsY(), high)
	VEXTRACTF32X4(Imm(1), high, low)
	VADDPS(low, high.AsX(), low)
	return low
}

// halve adds halves of quarters of pairs of vectors: of four it makes two with two sums a vector, of these one with four.
func halve(a []reg.VecVirtual, first bool) []reg.VecVirtual {
	var out []reg.VecVirtual
	for i := 0; i < len(a); i += 2 {
		low, high := ZMM(), ZMM()
		if first {
			VUNPCKLPS(a[i+1], a[i], low)
			VUNPCKHPS(a[i+1], a[i], high)
		} else {
			VUNPCKLPD(a[i+1], a[i], low)
			VUNPCKHPD(a[i+1], a[i], high)
		}
		VADDPS(high, low, low)
		out = append(out, low)
	}
	return out
}
