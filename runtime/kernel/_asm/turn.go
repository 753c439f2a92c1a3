package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

func init() {
	generators["turn"] = func() {
		turn(float32s)
		turn(f16s)
	}
}

// turn writes what makes 16 rows columns, eight elements at a time.
func turn(e element) {
	name := "turn" + e.name + "AVX2"
	TEXT(name, NOSPLIT, "func(dst *float32, src *"+map[uint64]string{1: "byte", 2: "float32"}[e.log]+", ldd, stride, eights int)")
	Pragma("noescape")
	Doc(name + " makes the first elements of 16 rows, stride bytes apart, columns of rows of dst, ldd elements apart.")
	stride, ldd := Load(Param("stride"), GP64()), Load(Param("ldd"), GP64())
	SHLQ(Imm(2), ldd)
	eights := Load(Param("eights"), GP64())
	var src [4]rowsOf // of four rows each
	for i := range src {
		if i == 0 {
			src[0] = newRowsOf(Load(Param("src"), GP64()), stride)
			continue
		}
		src[i] = rowsOf{GP64(), stride, src[0].stride3}
		LEAQ(Mem{Base: src[i-1].base, Index: stride, Scale: 4}, src[i].base)
	}
	low := newRowsOf(Load(Param("dst"), GP64()), ldd)
	high := rowsOf{GP64(), ldd, low.stride3}
	LEAQ(Mem{Base: low.base, Index: ldd, Scale: 4}, high.base)
	Label("eight")
	for half := range 2 {
		var v [8]reg.VecVirtual
		for r := range v {
			v[r] = YMM()
			e.load(src[2*half+r/4].at(r%4, 0), v[r])
		}
		turn8(&v)
		for c := range v {
			to := low
			if c >= 4 {
				to = high
			}
			VMOVUPS(v[c], to.at(c%4, 32*half))
		}
	}
	for i := range src {
		ADDQ(U32(8<<e.log), src[i].base)
	}
	LEAQ(Mem{Base: low.base, Index: ldd, Scale: 8}, low.base)
	LEAQ(Mem{Base: high.base, Index: ldd, Scale: 8}, high.base)
	DECQ(eights)
	JNZ(LabelRef("eight"))
	VZEROUPPER()
	RET()
}

// turn8 makes eight rows of eight elements columns.
func turn8(v *[8]reg.VecVirtual) {
	swap := func(a, b int, first, second func(ops ...Op)) {
		x, y := YMM(), YMM()
		first(v[b], v[a], x)
		second(v[b], v[a], y)
		v[a], v[b] = x, y
	}
	lowS, highS := func(o ...Op) { VUNPCKLPS(o[0], o[1], o[2]) }, func(o ...Op) { VUNPCKHPS(o[0], o[1], o[2]) }
	lowD, highD := func(o ...Op) { VUNPCKLPD(o[0], o[1], o[2]) }, func(o ...Op) { VUNPCKHPD(o[0], o[1], o[2]) }
	low, high := func(o ...Op) { VPERM2F128(Imm(0x20), o[0], o[1], o[2]) }, func(o ...Op) { VPERM2F128(Imm(0x31), o[0], o[1], o[2]) }
	for r := 0; r < 8; r += 2 {
		swap(r, r+1, lowS, highS)
	}
	for _, r := range []int{0, 1, 4, 5} {
		swap(r, r+2, lowD, highD)
	}
	// v[4i+k] now has column order[k], and the one four behind it, of rows 4i to 4i+3.
	for k := range 4 {
		swap(k, k+4, low, high)
	}
	order := [8]int{0, 2, 1, 3, 4, 6, 5, 7}
	var out [8]reg.VecVirtual
	for at, c := range order {
		out[c] = v[at]
	}
	*v = out
}
