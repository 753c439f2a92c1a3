package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Places in a group of inputs; its quants come first.
const (
	inputBias16, inputBias32, inputScales, inputSums, inputSums16, inputSums32, inputSize = 256, 320, 352, 384, 416, 448, 512
)

// vnni is whether kernels being written use AVX-512's VNNI, in vectors of 32 bytes, or else AVX2 alone.
var vnni bool

func form() string {
	if vnni {
		return "VNNI"
	}
	return "AVX2"
}

// bothForms writes kernels with and without VNNI.
func bothForms(kernels func()) func() {
	return func() {
		for _, vnni = range []bool{false, true} {
			kernels()
		}
	}
}

// dots writes the products of encoded rows, which lie one behind the other, with one row of inputs. group adds a group
// of size bytes at w, multiplied with inputs at x, to acc; its lane 0 less its lane 1 is the product if there are minima.
func dots(name string, size int, mins bool, hold []Mem, group func(acc reg.VecVirtual, w, x reg.Register)) {
	name = "dots" + name + form()
	TEXT(name, NOSPLIT, "func(dst *float32, src *byte, x *int8, skip, groups, rows int)")
	Pragma("noescape")
	Doc(name + " is a form of productGeneric for encoded rows, skip bytes apart, and one row of inputs.")
	dst, w, rows := Load(Param("dst"), GP64()), Load(Param("src"), GP64()), Load(Param("rows"), GP64())
	skip, x, groups := Load(Param("skip"), GP64()), GP64(), GP64()
	acc, other := XMM(), XMM()
	held = map[string]reg.VecVirtual{}
	for _, m := range hold {
		held[m.Symbol.Name] = ymm(m)
	}
	Label("row")
	Load(Param("x"), x)
	Load(Param("groups"), groups)
	VXORPS(acc, acc, acc)
	Label("group")
	group(acc, w, x)
	ADDQ(U32(size), w)
	ADDQ(U32(inputSize), x)
	DECQ(groups)
	JNZ(LabelRef("group"))
	if mins {
		VMOVSHDUP(acc, other)
		VSUBSS(other, acc, acc)
	}
	VMOVSS(acc, Mem{Base: dst})
	ADDQ(Imm(4), dst)
	ADDQ(skip, w)
	DECQ(rows)
	JNZ(LabelRef("row"))
	VZEROUPPER()
	RET()
}

// held is the constants that a kernel holds in registers: two loads a cycle are not many.
var held map[string]reg.VecVirtual

// constant is one of 32 bytes, where it is held or else in memory.
func constant(m Mem) Op {
	if r, ok := held[m.Symbol.Name]; ok {
		return r
	}
	return m
}

// bytes32 is a constant of 32 bytes in memory.
func bytes32(name string, f func(i int) byte) Mem {
	b := make([]byte, 32)
	for i := range b {
		b[i] = f(i)
	}
	return table(name, b)
}

func each32(b byte) Mem { return bytes32(fmt.Sprintf("each_%02x", b), func(int) byte { return b }) }

// words16 is a constant of 16 words, the second eight like the first.
func words16(name string, f func(i int) uint16) Mem {
	return bytes32(name, func(i int) byte { return byte(f(i/2%8) >> (i % 2 * 8)) })
}

func ymm(m Mem) reg.VecVirtual {
	v := YMM()
	VMOVDQU(m, v)
	return v
}

func xmm(m Mem) reg.VecVirtual {
	v := XMM()
	VMOVDQU(m, v)
	return v
}
