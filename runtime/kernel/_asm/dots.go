package main

import (
	"fmt"
	"strings"

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

// tokens is how many rows of inputs kernels being written multiply with: what is made of the weights serves for all.
var tokens = 1

// eachTile writes kernels for one row of inputs and for four.
func eachTile(kernels func()) func() {
	return func() {
		for _, tokens = range []int{1, tileTokens} {
			if tokens == 1 || !vnni {
				kernels()
			}
		}
		tokens = 1
	}
}

// sumsOf is what a kernel adds up for its rows of inputs: in a register, or in one each in memory.
type sumsOf struct {
	one  reg.VecVirtual
	many Mem
}

func (s sumsOf) place(c int) Mem { return s.many.Offset(16 * c) }

// add adds the lanes of v, which is lost.
func (s sumsOf) add(c int, v reg.VecVirtual) {
	if s.one != nil {
		VADDPS(v, s.one, s.one)
		return
	}
	VADDPS(s.place(c), v, v)
	VMOVUPS(v, s.place(c))
}

// dots writes the products of encoded rows, which lie one behind the other, with rows of inputs. group adds a group of
// size bytes at w, multiplied with inputs at x, to acc; its lane 0 less its lane 1 is the product if there are minima.
// With lanes, a row of inputs is a lane of one register.
func dots(name string, size int, mins, lanes bool, hold []Mem, group func(acc sumsOf, w reg.Register, x rowsOf)) {
	if tokens == 1 {
		name = "dots" + name + form()
		TEXT(name, NOSPLIT, "func(dst *float32, src *byte, x *int8, skip, groups, rows int)")
		Doc(name + " is a form of productGeneric for encoded rows, skip bytes apart, and one row of inputs.")
	} else {
		name = "tile" + name + form()
		TEXT(name, NOSPLIT, "func(dst *float32, src *byte, x *int8, skip, groups, rows, ldd, ldx int)")
		Doc(name + " is a form of productGeneric for encoded rows, skip bytes apart, and four rows of inputs.")
	}
	Pragma("noescape")
	w, rows := Load(Param("src"), GP64()), Load(Param("rows"), GP64())
	skip, groups := Load(Param("skip"), GP64()), GP64()
	dst, x := rowsOf{base: Load(Param("dst"), GP64())}, rowsOf{base: GP64()}
	var acc sumsOf
	if tokens == 1 || lanes {
		acc.one = XMM()
	} else {
		acc.many = AllocLocal(16 * tokens)
	}
	if tokens > 1 {
		ldd := Load(Param("ldd"), GP64())
		SHLQ(Imm(2), ldd)
		dst, x = newRowsOf(dst.base, ldd), newRowsOf(x.base, Load(Param("ldx"), GP64()))
	}
	held = map[string]reg.VecVirtual{}
	for _, m := range hold {
		// Tiles have few registers left.
		if name := m.Symbol.Name; tokens == 1 || !strings.HasPrefix(name, "word") && !strings.HasSuffix(name, "Bit") && !strings.HasSuffix(name, "Bits") {
			held[m.Symbol.Name] = ymm(m)
		}
	}
	Label("row")
	Load(Param("x"), x.base)
	Load(Param("groups"), groups)
	nothing := acc.one
	if nothing == nil {
		nothing = XMM()
	}
	VXORPS(nothing, nothing, nothing)
	if acc.one == nil {
		for c := range tokens {
			VMOVUPS(nothing, acc.place(c))
		}
	}
	Label("group")
	group(acc, w, x)
	ADDQ(U32(size), w)
	ADDQ(U32(inputSize), x.base)
	DECQ(groups)
	JNZ(LabelRef("group"))
	for c := range tokens {
		sum := acc.one
		if lanes {
			VEXTRACTPS(Imm(uint64(c)), sum, dst.at(c, 0))
			continue
		}
		if sum == nil {
			sum = XMM()
			VMOVUPS(acc.place(c), sum)
		}
		if mins {
			other := XMM()
			VMOVSHDUP(sum, other)
			VSUBSS(other, sum, sum)
		}
		VMOVSS(sum, dst.at(c, 0))
	}
	ADDQ(Imm(4), dst.base)
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
