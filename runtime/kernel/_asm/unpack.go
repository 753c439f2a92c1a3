package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// sink takes the vectors of a group of weights, by their place in it.
type sink interface {
	put(at int, v reg.VecVirtual)
}

// memory is a group that lies in memory.
type memory struct{ base reg.Register }

func (m memory) put(at int, v reg.VecVirtual) { VMOVUPS(v, Mem{Base: m.base, Disp: at}) }

// registers is a group that stays in registers.
type registers map[int]reg.VecVirtual

func (r registers) put(at int, v reg.VecVirtual) { r[at] = v }

// unpacker writes two kernels for groups of size bytes each at src. setup loads their constants and returns what takes
// one group apart.
func unpacker(name string, size int, setup func() func(dst sink, src reg.Register)) {
	TEXT("unpack"+name+"AVX512", NOSPLIT, "func(dst *uint8, src *byte, groups int)")
	Pragma("noescape")
	Doc("unpack" + name + "AVX512 takes groups of " + name + " apart.")
	dst, src, groups := Load(Param("dst"), GP64()), Load(Param("src"), GP64()), Load(Param("groups"), GP64())
	body := setup()
	Label("group")
	body(memory{dst}, src)
	ADDQ(U32(weightSize), dst)
	ADDQ(U32(size), src)
	DECQ(groups)
	JNZ(LabelRef("group"))
	VZEROUPPER()
	RET()
	dots(name, size, setup)
}

// dots writes the products of rows with one row of inputs: each group is multiplied as it is taken apart.
func dots(name string, size int, setup func() func(dst sink, src reg.Register)) {
	TEXT("dots"+name+"AVX512", NOSPLIT, "func(dst *float32, src *byte, x *int8, rows, groups int)")
	Pragma("noescape")
	Doc("dots" + name + "AVX512 is the AVX-512 form of productsGeneric for encoded rows of " + name + " and one row of inputs.")
	dst, src, rows := Load(Param("dst"), GP64()), Load(Param("src"), GP64()), Load(Param("rows"), GP64())
	x, groups, acc := GP64(), GP64(), ZMM()
	body := setup()
	Label("row")
	Load(Param("x"), x)
	Load(Param("groups"), groups)
	VXORPS(acc, acc, acc)
	Label("group")
	w := registers{}
	body(w, src)
	in := inputGroup{rowsOf{base: x}, 0, nil}
	in.multiply([4]reg.VecVirtual{w[0], w[64], w[128], w[192]}, w[weightScales], w[weightMins], acc)
	ADDQ(U32(size), src)
	ADDQ(U32(inputSize), x)
	DECQ(groups)
	JNZ(LabelRef("group"))
	VMOVSS(sumOf(acc, true), Mem{Base: dst})
	ADDQ(Imm(4), dst)
	DECQ(rows)
	JNZ(LabelRef("row"))
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

func op(inst func(...Op), a, b Op) reg.VecVirtual {
	v := ZMM()
	inst(b, a, v)
	return v
}

// quantStore makes what stores four vectors of quants in the order of groups; quarter i of vector k holds lane order[k][i].
func quantStore(name string, order [4][4]int) func(q [4]reg.VecVirtual, dst sink) {
	var at [16]uint32 // where a lane's first quad is: in the first vector of two, or the second
	for k := range order {
		for i, l := range order[k] {
			at[l] = uint32(k/2*16 + 4*i + k%2)
		}
	}
	even := lanesOf(name+"Even", func(l int) uint32 { return at[l] })
	odd := lanesOf(name+"Odd", func(l int) uint32 { return at[l] + 2 })
	return func(q [4]reg.VecVirtual, dst sink) {
		for h, unpack := range []func(...Op){
			func(o ...Op) { VPUNPCKLDQ(o[0], o[1], o[2]) }, // quads 0 and 1
			func(o ...Op) { VPUNPCKHDQ(o[0], o[1], o[2]) }, // quads 2 and 3
		} {
			a, b, second := op(unpack, q[0], q[1]), op(unpack, q[2], q[3]), ZMM()
			VMOVDQA32(a, second)
			VPERMT2D(b, even, a)
			VPERMT2D(b, odd, second)
			dst.put(128*h, a)
			dst.put(128*h+64, second)
		}
	}
}

// natural is the order of vectors that hold the lanes in order.
var natural = [4][4]int{{0, 1, 2, 3}, {4, 5, 6, 7}, {8, 9, 10, 11}, {12, 13, 14, 15}}

// half16 is a half in all lanes, as floats.
func half16(m Mem) reg.VecVirtual {
	y, z := YMM(), ZMM()
	VPBROADCASTW(m, y)
	VCVTPH2PS(y, z)
	return z
}

// halves are eight halves, stride bytes apart, as floats in two lanes each.
func halves(src reg.Register, at, stride int) reg.VecVirtual {
	x, y, high, z := XMM(), YMM(), XMM(), ZMM()
	VPXORD(x, x, x)
	for b := range 8 {
		VPINSRW(Imm(uint64(b)), Mem{Base: src, Disp: at + stride*b}, x, x)
	}
	VPUNPCKHWD(x, x, high)
	VPUNPCKLWD(x, x, x)
	VINSERTI32X4(Imm(1), high, x.AsY(), y)
	VCVTPH2PS(y, z)
	return z
}
