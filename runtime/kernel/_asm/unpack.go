package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Places in an unpacked group of weights; its quants come first.
const weightScales, weightSuper, weightMins, weightSize = 256, 320, 384, 448

func put(dst reg.Register, at int, v reg.Register) { VMOVUPS(v, Mem{Base: dst, Disp: at}) }

// unpacker writes a kernel for groups of size bytes each at src. setup loads its constants and returns what takes one
// group apart.
func unpacker(name string, size int, setup func() func(dst, src reg.Register)) {
	TEXT("unpack"+name+"AVX512", NOSPLIT, "func(dst *uint8, src *byte, groups int)")
	Pragma("noescape")
	Doc("unpack" + name + "AVX512 takes groups of " + name + " apart.")
	dst, src, groups := Load(Param("dst"), GP64()), Load(Param("src"), GP64()), Load(Param("groups"), GP64())
	body := setup()
	Label("group")
	body(dst, src)
	ADDQ(U32(weightSize), dst)
	ADDQ(U32(size), src)
	DECQ(groups)
	JNZ(LabelRef("group"))
	VZEROUPPER()
	RET()
}

var tables = map[string]Mem{}

// table is a constant of bytes; equal names are the same one.
func table(name string, bytes []byte) Mem {
	m, ok := tables[name]
	if !ok {
		m = GLOBL(name, RODATA|NOPTR)
		for i := 0; i < len(bytes); i += 4 {
			DATA(i, U32(uint32(bytes[i])|uint32(bytes[i+1])<<8|uint32(bytes[i+2])<<16|uint32(bytes[i+3])<<24))
		}
		tables[name] = m
	}
	return m
}

// bytesOf is a vector constant with f(i) in byte i.
func bytesOf(name string, f func(i int) byte) reg.VecVirtual {
	b := make([]byte, 64)
	for i := range b {
		b[i] = f(i)
	}
	return zmm(table(name, b))
}

// lanesOf is a vector constant with f(l) in lane l of 32 bits.
func lanesOf(name string, f func(l int) uint32) reg.VecVirtual {
	return bytesOf(name, func(i int) byte { return byte(f(i/4) >> (i % 4 * 8)) })
}

func eachByte(b byte) reg.VecVirtual {
	return bytesOf(fmt.Sprintf("byte_%02x", b), func(int) byte { return b })
}

// putQuants stores four vectors of quants; quarter i of vector k holds those of lane order[k][i].
func putQuants(q [4]reg.VecVirtual, order [4][4]int, dst reg.Register) {
	for k, lanes := range order {
		at := func(i int) Mem { return Mem{Base: dst, Disp: 16 * lanes[i]} }
		switch {
		case lanes[2] == lanes[0]+2 && lanes[1] == lanes[0]+1:
			VMOVDQU32(q[k], at(0))
		case lanes[1] == lanes[0]+1:
			VMOVDQU32(q[k].AsY(), at(0))
			VEXTRACTI64X4(Imm(1), q[k], at(2))
		default:
			VMOVDQU32(q[k].AsX(), at(0))
			for i := 1; i < 4; i++ {
				VEXTRACTI32X4(Imm(uint64(i)), q[k], at(i))
			}
		}
	}
}

// natural is the order of vectors that hold the lanes in order.
var natural = [4][4]int{{0, 1, 2, 3}, {4, 5, 6, 7}, {8, 9, 10, 11}, {12, 13, 14, 15}}

// putHalves stores halves, the scales of a group and of its minima, as floats.
func putHalves(dst, src reg.Register, at ...int) {
	x := XMM()
	VPXORD(x, x, x)
	for i, n := range at {
		VPINSRW(Imm(uint64(i)), Mem{Base: src, Disp: n}, x, x)
	}
	VCVTPH2PS(x, x)
	VMOVQ(x, Mem{Base: dst, Disp: weightSuper})
}

// halves are eight halves, stride bytes apart, as floats.
func halves(src reg.Register, at, stride int) reg.VecVirtual {
	x, y := XMM(), YMM()
	VPXORD(x, x, x)
	for b := range 8 {
		VPINSRW(Imm(uint64(b)), Mem{Base: src, Disp: at + stride*b}, x, x)
	}
	VCVTPH2PS(x, y)
	return y
}
