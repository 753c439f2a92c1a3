package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

func init() {
	generators["products"] = func() {
		transpose()
		for _, mins := range []bool{false, true} {
			products("Super16", 16, true, mins)
			products("Super32", 32, true, mins)
			products("Blocks", 32, false, mins)
		}
	}
}

// rowsOf is the places n bytes behind each of up to four rows.
type rowsOf struct{ base, stride, stride3 reg.Register }

func newRowsOf(base, stride reg.Register) rowsOf {
	s3 := GP64()
	LEAQ(Mem{Base: stride, Index: stride, Scale: 2}, s3)
	return rowsOf{base, stride, s3}
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

func zero() reg.VecVirtual {
	v := ZMM()
	VPXORD(v, v, v)
	return v
}

// panelStep is what a vector of a row of weights takes up in a panel of 16 rows.
const panelStep = 16 * 64

// transpose writes what makes panels: lane r of vector i is element i of row r.
func transpose() {
	TEXT("transposeAVX512", NOSPLIT, "func(dst, src *uint8, stride, vectors int)")
	Pragma("noescape")
	Doc("transposeAVX512 turns vectors of 16 elements of 32 bits of 16 rows, stride bytes apart, into 16 vectors each.")
	dst, src, vectors := Load(Param("dst"), GP64()), Load(Param("src"), GP64()), Load(Param("vectors"), GP64())
	rows := newRowsOf(src, Load(Param("stride"), GP64()))
	next := GP64()
	Label("vector")
	var v [16]reg.VecVirtual
	MOVQ(src, next)
	for r := range v {
		v[r] = zmm(rowsOf{next, rows.stride, rows.stride3}.at(r%4, 0))
		if r%4 == 3 && r < 15 {
			LEAQ(Mem{Base: next, Index: rows.stride, Scale: 4}, next)
		}
	}
	swap := func(a, b *reg.VecVirtual, low, high func(a, b, d reg.VecVirtual)) {
		l, h := ZMM(), ZMM()
		low(*a, *b, l)
		high(*a, *b, h)
		*a, *b = l, h
	}
	for r := 0; r < 16; r += 2 {
		swap(&v[r], &v[r+1], func(a, b, d reg.VecVirtual) { VUNPCKLPS(b, a, d) }, func(a, b, d reg.VecVirtual) { VUNPCKHPS(b, a, d) })
	}
	for _, r := range []int{0, 1, 4, 5, 8, 9, 12, 13} {
		swap(&v[r], &v[r+2], func(a, b, d reg.VecVirtual) { VUNPCKLPD(b, a, d) }, func(a, b, d reg.VecVirtual) { VUNPCKHPD(b, a, d) })
	}
	// v[4i+k] now has, of rows 4i to 4i+3, element order[k] of each quarter.
	even, odd := func(a, b, d reg.VecVirtual) { VSHUFI32X4(Imm(0x88), b, a, d) }, func(a, b, d reg.VecVirtual) { VSHUFI32X4(Imm(0xdd), b, a, d) }
	order := [4]int{0, 2, 1, 3}
	for k := range 4 {
		swap(&v[k], &v[k+4], even, odd)
		swap(&v[k+8], &v[k+12], even, odd)
		swap(&v[k], &v[k+8], even, odd)    // quarters 0 and 2
		swap(&v[k+4], &v[k+12], even, odd) // quarters 1 and 3
		for quarter, at := range []int{k, k + 4, k + 8, k + 12} {
			VMOVDQU32(v[at], Mem{Base: dst, Disp: 64 * (4*quarter + order[k])})
		}
	}
	ADDQ(Imm(64), src)
	ADDQ(U32(panelStep), dst)
	DECQ(vectors)
	JNZ(LabelRef("vector"))
	VZEROUPPER()
	RET()
}

const tileTokens = 4

// products writes the product of a panel, 16 rows of weights, and four rows of inputs: a lane is a row. Weights have
// one scale for each run of 16 or 32, in super-blocks an integer.
func products(name string, run int, super, mins bool) {
	name = "products" + name
	if mins {
		name += "Mins"
	}
	name += "AVX512"
	TEXT(name, NOSPLIT, "func(dst *float32, w *uint8, x *int8, ldd, ldx, groups int)")
	Pragma("noescape")
	Doc(name + " is the AVX-512 form of productGeneric for a panel of weights and four rows of inputs.")
	t := &productTile{run: run, super: super, mins: mins}
	t.w, t.figures = Load(Param("w"), GP64()), GP64()
	t.x = newRowsOf(Load(Param("x"), GP64()), Load(Param("ldx"), GP64()))
	t.xFigures, t.runs = rowsOf{GP64(), t.x.stride, t.x.stride3}, GP64()
	groups := Load(Param("groups"), GP64())
	for c := range tileTokens {
		t.acc[c], t.less[c] = zero(), zero()
	}
	Label("group")
	t.group()
	DECQ(groups)
	JNZ(LabelRef("group"))
	dst, ldd := Load(Param("dst"), GP64()), Load(Param("ldd"), GP64())
	for c := range tileTokens {
		if super && mins { // which were made negative
			VADDPS(t.less[c], t.acc[c], t.acc[c])
		}
		VMOVUPS(t.acc[c], Mem{Base: dst})
		if c+1 < tileTokens {
			LEAQ(Mem{Base: dst, Index: ldd, Scale: 4}, dst)
		}
	}
	VZEROUPPER()
	RET()
}

type productTile struct {
	run         int
	super, mins bool
	w, figures  reg.Register // a run's quants, its scale
	x, xFigures rowsOf       // the inputs', and their bias
	runs        reg.Register
	acc, less   [tileTokens]reg.VecVirtual // less of minima in super-blocks
	sums, least [tileTokens]reg.VecVirtual // of a group
}

// group adds a group of weights and inputs, and goes on to the next.
func (t *productTile) group() {
	bias, runs, figure := inputBias16, 16, 64
	switch {
	case t.super && t.run == 32: // integers stand for runs of 16
		bias, runs, figure = inputBias32, 8, 128
	case !t.super: // a run and the one four behind it
		bias, runs = inputBias32, 4
	}
	LEAQ(Mem{Base: t.w, Disp: 4 * panelStep}, t.figures)
	LEAQ(Mem{Base: t.x.base, Disp: bias}, t.xFigures.base)
	for c := range tileTokens {
		t.sums[c] = zero()
		if t.super && t.mins {
			t.least[c] = zero()
		}
	}
	MOVQ(U32(runs), t.runs)
	Label("run")
	if t.super {
		t.superRun()
	} else {
		t.blocks(bias)
	}
	ADDQ(U32(16*t.run), t.w)
	ADDQ(Imm(uint64(t.run)), t.x.base)
	ADDQ(U32(figure), t.figures)
	ADDQ(Imm(4), t.xFigures.base)
	DECQ(t.runs)
	JNZ(LabelRef("run"))
	passed := runs * t.run
	if t.super {
		t.scaleSums(4*panelStep-16*passed, inputScales-bias-4*runs)
	} else {
		for c := range tileTokens {
			VADDPS(t.sums[c], t.acc[c], t.acc[c])
		}
	}
	ADDQ(U32(7*panelStep-16*passed), t.w)
	ADDQ(U32(inputSize-passed), t.x.base)
}

// products is those of a run, at bytes of weights and inputs behind the pointers. The inputs' bias, -128 times their
// sum, makes up for the weights' offset.
func (t *productTile) products(w, x, bias int) (sums [tileTokens]reg.VecVirtual) {
	for c := range sums {
		sums[c] = ZMM()
		VPBROADCASTD(t.xFigures.at(c, bias), sums[c])
	}
	for q := range t.run / 4 {
		v := zmm(Mem{Base: t.w, Disp: w + 64*q})
		for c := range sums {
			VPDPBUSD_BCST(t.x.at(c, x+4*q), v, sums[c])
		}
	}
	return sums
}

// superRun adds a run's products and minima, scaled, to the sums of the super-block.
func (t *productTile) superRun() {
	scale := zmm(Mem{Base: t.figures})
	for c, sum := range t.products(0, 0, 0) {
		VPMULLD(scale, sum, sum)
		VPADDD(sum, t.sums[c], t.sums[c])
	}
	if !t.mins {
		return
	}
	least := zmm(Mem{Base: t.figures, Disp: 2 * panelStep})
	for c := range tileTokens {
		v := ZMM()
		VPMULLD_BCST(t.xFigures.at(c, 0), least, v)
		VPADDD(v, t.least[c], t.least[c])
	}
}

// scaleSums adds a super-block's sums to acc; w and scale are where its figures are, behind the pointers.
func (t *productTile) scaleSums(w, scale int) {
	for c := range tileTokens {
		by, v := ZMM(), ZMM()
		VBROADCASTSS(t.xFigures.at(c, scale), by)
		VMULPS(Mem{Base: t.w, Disp: w + panelStep}, by, v)
		VCVTDQ2PS(t.sums[c], t.sums[c])
		VMULPS(t.sums[c], v, v)
		VADDPS(v, t.acc[c], t.acc[c])
		if t.mins { // theirs are -128 times too large
			VMULPS(Mem{Base: t.w, Disp: w + panelStep + 64}, by, v)
			VPSRAD(Imm(7), t.least[c], t.least[c])
			VCVTDQ2PS(t.least[c], t.least[c])
			VMULPS(t.least[c], v, v)
			VADDPS(v, t.less[c], t.less[c])
		}
	}
}

// blocks adds to sums those of a block and of the one four behind it.
func (t *productTile) blocks(bias int) {
	first, second := t.scaled(0, bias), t.scaled(4, bias)
	for c := range first {
		VADDPS(second[c], first[c], first[c])
		VADDPS(first[c], t.sums[c], t.sums[c])
	}
}

// scaled is the products of the block ahead blocks behind the pointers, less minima.
func (t *productTile) scaled(ahead, bias int) [tileTokens]reg.VecVirtual {
	sums := t.products(512*ahead, 32*ahead, 4*ahead)
	scale := zmm(Mem{Base: t.figures, Disp: 64 * ahead})
	for c, sum := range sums {
		by := ZMM()
		VMULPS_BCST(t.xFigures.at(c, inputScales-bias+4*ahead), scale, by)
		VCVTDQ2PS(sum, sum)
		VMULPS(by, sum, sum)
	}
	if !t.mins {
		return sums
	}
	least := zmm(Mem{Base: t.figures, Disp: 2*panelStep + 64*ahead})
	for c, sum := range sums {
		v := ZMM()
		VMULPS_BCST(t.xFigures.at(c, inputSums-bias+4*ahead), least, v)
		VSUBPS(v, sum, sum)
	}
	return sums
}
