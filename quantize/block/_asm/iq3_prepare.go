package main

import (
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// prepare finds the magnitudes, signs and weights of the block. It leaves blocks that are small, or have a value with the
// wrong sign that is much larger than the others.
func (g *iq3) prepare() {
	src := g.param("src", 7)
	var importance reg.GPVirtual
	var sigma reg.VecVirtual
	if g.weighted {
		importance = g.param("importance", 7)
		sigma = g.broadcast(at(g.param("sigma2", 2), 0))
	}
	out := g.param("out", 5)
	heaviest, far, top, signs := g.zero(), g.zero(), g.vec(), GP32()
	magnitude, zero := g.each32(0x7fffffff), g.zero()
	XORL(signs, signs)
	for j := 0; j < 32; j += 8 {
		x, w := g.load(at(src, 4*j)), g.vec()
		negative := GP32()
		VMOVMSKPS(g.lessThan(x, zero), negative)
		VMULPS(x, x, w)
		if g.weighted {
			VADDPS(sigma, w, w)
			VSQRTPS(w, w)
			VMULPS(at(importance, 4*j), w, w)
		}
		g.store(w, g.at(iq3W+4*j))
		VPMAXUD(w, heaviest, heaviest) // bits: NaN and what is below 0 are more than all numbers
		roots := g.vec()
		VSQRTPS(w, roots)
		g.store(roots, g.at(iq3Roots+4*j))
		VANDPS(magnitude, x, x)
		g.store(x, g.at(iq3X+4*j))
		VMAXPS(x, far, far)
		if g.even {
			g.makeEven(j, negative, x, w)
			ANDL(Imm(127), negative)
			SHLL(Imm(uint64(7*(j/8))), negative)
		} else {
			SHLL(Imm(uint64(j)), negative)
		}
		ORL(negative, signs)
	}
	for j := 0; j < 32; j += 8 {
		x, wx := g.load(g.at(iq3X+4*j)), g.vec()
		VMULPS(g.at(iq3W+4*j), x, wx)
		g.store(wx, g.at(iq3WX+4*j))
		if j == 0 {
			VMOVAPS(x, top)
		} else {
			VMAXPS(x, top, top)
		}
	}
	g.most(heaviest, VPMAXUD)
	VSQRTSS(heaviest.AsX(), heaviest.AsX(), heaviest.AsX())
	VMOVSS(heaviest.AsX(), g.at(iq3Far+4))
	g.most(top, VMAXPS)
	g.most(far, VMAXPS)
	MOVL(signs, at(out, iq3OutSigns))
	VMOVSS(top.AsX(), at(out, iq3OutTop))
	VMOVSS(far.AsX(), g.at(iq3Far))
	MOVL(U32(1), at(out, iq3OutFlags))
	limit := XMM()
	VUCOMISS(const32(math.Float32bits(g.tiny)), top.AsX())
	JB(LabelRef("skip"))
	VMULSS(const32(math.Float32bits(1<<17)), top.AsX(), limit)
	VUCOMISS(far.AsX(), limit)
	JB(LabelRef("skip"))
	VMULSS(const32(math.Float32bits(4)), far.AsX(), limit)
	g.bound(limit)
}

// bound leaves blocks whose errors may overflow: those of differences up to this.
func (g *iq3) bound(difference reg.VecVirtual) {
	most := XMM()
	VMULSS(difference, difference, difference)
	VMULSS(g.at(iq3Far+4), difference, difference)
	VMOVSS(const32(math.Float32bits(math.MaxFloat32/16)), most)
	VUCOMISS(difference, most)
	JBE(LabelRef("skip")) // or where it is no number
}

// lessThan is a vector mask, also with AVX-512.
func (g *iq3) lessThan(a, b reg.VecVirtual) reg.VecVirtual {
	v := YMM()
	VCMPPS(Imm(cmpLT), b, a, v)
	return v
}

// most folds a vector of eight by an instruction, in all lanes of its first four.
func (g *iq3) most(v reg.VecVirtual, inst func(...Op)) {
	x := XMM()
	VEXTRACTF128(Imm(1), v, x)
	inst(x, v.AsX(), v.AsX())
	for _, order := range []uint64{0x4e, 0xb1} {
		VPERMILPS(Imm(order), v.AsX(), x)
		inst(x, v.AsX(), v.AsX())
	}
}

// firstLeast is the number of the first lane that holds the least value, which is left in all lanes of v's first four.
func (g *iq3) firstLeast(v reg.VecVirtual) reg.GPVirtual {
	least, same, first := YMM(), YMM(), GP32()
	VMOVAPS(v, least)
	g.most(v, VMINPS)
	VINSERTF128(Imm(1), v.AsX(), v, same)
	VCMPPS(Imm(cmpEQ), least, same, same)
	VMOVMSKPS(same, first)
	TZCNTL(first, first)
	return first
}

// makeEven gives the value that matters least, the first of these, the wrong sign if the number of signs is odd.
func (g *iq3) makeEven(j int, negative reg.GPVirtual, x, w reg.VecVirtual) {
	loss, odd, sign := g.vec(), GP32(), GP32()
	VMULPS(x, w, loss)
	VMULPS(x, loss, loss)
	first := g.firstLeast(loss)
	ANDL(Imm(7), first) // where there is none
	POPCNTL(negative, odd)
	ANDL(Imm(1), odd)
	MOVL(odd, sign)
	SHLL(Imm(31), sign)
	XORL(sign, Mem{Base: g.frame, Disp: iq3X + 4*j, Index: first, Scale: 4})
	SHLXL(first, odd, odd)
	XORL(odd, negative)
}
