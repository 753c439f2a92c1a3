package main

import (
	"fmt"
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// again chooses points for the scale that was found: all of them where one is off the grid, or those alone that are.
func (g *iq3) again() {
	out := g.param("out", 5)
	scale, inverse, off, mask := XMM(), XMM(), GP64(), GP64()
	MOVQ(at(out, iq3OutWords), off)
	ORQ(at(out, iq3OutWords+8), off)
	MOVQ(U64(offGrid*0x0001000100010001), mask)
	TESTQ(mask, off)
	JZ(LabelRef("done"))
	VMOVSS(at(out, iq3OutScale), scale)
	VXORPS(inverse, inverse, inverse)
	VUCOMISS(inverse, scale)
	JBE(LabelRef("done"))
	VMOVSS(const32(math.Float32bits(1)), inverse)
	VDIVSS(scale, inverse, inverse)
	VMULSS(const32(math.Float32bits(0.5)), inverse, inverse)
	for k := range 8 {
		VMOVSS(scale, g.at(iq3Scales+128*k))
	}
	far := XMM()
	VMOVSS(const32(math.Float32bits(1<<21)), far)
	limit := XMM()
	VMULSS(g.at(iq3Far), inverse, limit)
	VUCOMISS(limit, far)
	JBE(LabelRef("skip"))
	VMULSS(const32(math.Float32bits(16)), scale, limit)
	VADDSS(g.at(iq3Far), limit, limit)
	g.bound(limit)
	g.roundOnce(inverse)
	g.start()
	words := g.vec()
	if g.wide.wide() {
		all, items := g.listsOnce(out)
		g.workAll()
		out, first := g.param("out", 5), GP64()
		XORQ(first, first)
		chunk{g.isa, 0}.expand(g, first, items, all)
		VMOVDQA32(all, words)
		VPMOVDW(words, at(out, iq3OutWords))
	} else {
		g.listOnce(out)
		g.work()
		word := GP64()
		for k := range 8 {
			MOVW(g.at(iq3Words+64*k), word.As16())
			MOVW(word.As16(), at(out, iq3OutWords+2*k))
		}
		VPMOVZXWD(at(out, iq3OutWords), words)
	}
	g.sumOnce(g.param("out", 5), words)
}

// roundOnce finds the places in the table of all fours for one scale.
func (g *iq3) roundOnce(inverse reg.VecVirtual) {
	s := g.wide
	each, half := s.vec(), s.eachF32(0.5)
	VBROADCASTSS(inverse, each)
	shifts := make([]uint32, 16)
	for i := range shifts {
		shifts[i] = uint32(3 * (i % 4))
	}
	for j := 0; j < 32; j += s.lanes {
		level, doubt := s.nearestIQ3(g.at(iq3X+4*j), half, each)
		VPSLLVD(table("shiftsIQ3", shifts...), level, level)
		v := s.place(level, doubt)
		for _, order := range []uint64{0x4e, 0xb1} {
			other := s.vec()
			VPSHUFD(Imm(order), v, other)
			v = s.or(v, other)
		}
		s.store(v, g.at(iq3Index+4*j))
	}
}

// sumOnce is the scale for the points that were chosen anew.
func (g *iq3) sumOnce(out reg.GPVirtual, words reg.VecVirtual) {
	levels := g.load(levelsIQ3())
	shifts := make([]uint32, 8)
	for i := range shifts {
		shifts[i] = uint32(4 * (i % 4))
	}
	for j := 0; j < 32; j += 8 {
		which := make([]uint32, 8)
		for i := range which {
			which[i] = uint32(j/4 + i/4)
		}
		q, wq := g.load(table(fmt.Sprint("foursIQ3_", j), which...)), g.vec()
		VPERMD(words, q, q)
		VPSRLVD(table("shiftsBackIQ3", shifts...), q, q)
		VPERMPS(levels, q, q)
		VMULPS(g.at(iq3W+4*j), q, wq)
		VMULPS(q, wq, wq)
		VMULPS(g.at(iq3WX+4*j), q, q)
		g.store(q, g.at(iq3Sumqx+4*j))
		g.store(wq, g.at(iq3Sumq2+4*j))
	}
	sumqx, sumq2, zero := XMM(), XMM(), XMM()
	VXORPS(sumqx, sumqx, sumqx)
	VXORPS(sumq2, sumq2, sumq2)
	VXORPS(zero, zero, zero)
	for j := range 32 {
		VADDSS(g.at(iq3Sumqx+4*j), sumqx, sumqx)
		VADDSS(g.at(iq3Sumq2+4*j), sumq2, sumq2)
	}
	VUCOMISS(zero, sumq2)
	JBE(LabelRef("done"))
	VDIVSS(sumq2, sumqx, sumqx)
	VMOVSS(sumqx, at(out, iq3OutScale))
}

// listsOnce makes items of the fours that are to be chosen anew. It returns all words, and the lanes with an item.
func (g *iq3) listsOnce(out reg.GPVirtual) (words reg.VecVirtual, items reg.Register) {
	c, entries, place := chunk{g.isa, 0}, g.vec(), g.vec()
	e := GP64()
	for i := range 8 {
		MOVL(g.at(iq3Index+16*i), e.As32())
		MOVL(Mem{Base: g.info, Index: e, Scale: 4}, e.As32())
		MOVL(e.As32(), g.at(iq3Entries+4*i))
	}
	VMOVDQU32(g.at(iq3Entries), entries)
	VPSLLD(Imm(5), g.load(ordinals()), place)
	if g.even {
		old, kept := g.vec(), K()
		VPMOVZXWD(at(out, iq3OutWords), old)
		VPTESTNMD_BCST(const32(offGrid), old, kept)
		VPANDD_BCST(const32(0x7fff), old, old)
		VMOVDQA32(old, kept, entries) // a word is an entry without lists
	}
	return entries, c.append(g, entries, place)
}
