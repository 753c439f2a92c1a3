package main

import (
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// roundingSlack is how near to the middle of two levels a value may be without a doubt which of these is nearer, in any
// of the ways to compute it.
const roundingSlack = 1. / 16384

// nearestIQ3 rounds values to levels, in the low bits, given halves of the inverse scales; doubt is what was cut off.
func (s isa) nearestIQ3(values, half Op, inverse reg.VecVirtual) (level, doubt reg.VecVirtual) {
	const magic = 3 << 22
	y, r := s.vec(), s.vec()
	VMULPS(values, inverse, y)
	VSUBPS(half, y, y)
	VADDPS(s.everyF32(magic), y, r)
	if s.wide() {
		VREDUCEPS(Imm(0), y, y)
	} else {
		rounded := s.vec()
		VROUNDPS(Imm(0), y, rounded)
		VSUBPS(rounded, y, y)
	}
	VPMAXSD(s.everyF32(magic), r, r)
	VPMINSD(s.everyF32(magic+7), r, r)
	return r, y
}

// round finds the places in the table of the points of four k in all trials.
func (g *iq3) round(k reg.GPVirtual) {
	p := GP64()
	MOVQ(k, p)
	SHLQ(Imm(4), p)
	ADDQ(g.frame, p)
	for _, c := range g.chunks() {
		half, inverse := c.eachF32(0.5), c.load(g.at(iq3Half+c.at))
		var index, doubt reg.VecVirtual
		for n := range 4 {
			level, d := c.nearestIQ3(c.broadcast(at(p, iq3X+4*n)), half, inverse)
			if n == 0 {
				index, doubt = level, d
				continue
			}
			VPSLLD(Imm(uint64(3*n)), level, level)
			index, doubt = c.or(index, level), c.maxAbs(doubt, d)
		}
		c.store(c.place(index, doubt), g.at(iq3Index+c.at))
	}
}

// place is the place in the table of a point, in the second half where there is a doubt.
func (s isa) place(index, doubt reg.VecVirtual) reg.VecVirtual {
	index = s.and(index, s.each32(0xfff))
	limit := s.eachF32(0.5 - roundingSlack)
	unsure := s.compare(cmpGE, s.abs(doubt), limit)
	if s.wide() {
		VPORD_BCST(const32(0x1000), index, unsure, index)
		return index
	}
	return s.or(index, s.and(unsure, s.each32(0x1000)))
}

// sums adds up w*x*q and w*q*q for all trials.
func (g *iq3) sums() {
	p, words, k := GP64(), GP64(), GP64()
	levels := g.wide.load(levelsIQ3())
	chunks := g.chunks()
	sumqx, sumq2 := make([]reg.VecVirtual, len(chunks)), make([]reg.VecVirtual, len(chunks))
	for i, c := range chunks {
		sumqx[i], sumq2[i] = c.zero(), c.zero()
	}
	MOVQ(g.frame, p)
	LEAQ(g.at(iq3Words), words)
	XORQ(k, k)
	item, bits := GP64(), GP32()
	if g.wide.wide() {
		XORQ(item, item)
	}
	Label("sums")
	for i, c := range chunks {
		w, table := c.vec(), levels
		if c.lanes == 8 {
			table = levels.AsY().(reg.VecVirtual)
		}
		VPMOVZXWD(at(words, c.at/2), w)
		if g.wide.wide() {
			items := K()
			MOVL(g.counted(iq3Masks, k), bits)
			SHRL(Imm(uint64(c.at/4)), bits)
			if c.lanes == 8 {
				ANDL(Imm(0xff), bits)
			} else {
				MOVWLZX(bits.As16(), bits)
			}
			KMOVW(bits, items)
			c.expand(g, item, items, w)
			VPMOVDW(w, at(words, c.at/2))
		}
		together := 1 // as registers allow
		if g.wide.wide() {
			together = 4
		}
		for n := 0; n < 4; n += together {
			q, wq := make([]reg.VecVirtual, together), make([]reg.VecVirtual, together)
			for j := range q {
				if n+j > 0 {
					VPSRLD(Imm(4), w, w)
				}
				q[j], wq[j] = c.vec(), c.vec()
				VPERMPS(table, w, q[j])
			}
			for j := range q {
				g.mulEach(at(p, iq3W+4*(n+j)), q[j], wq[j])
			}
			for j := range q {
				VMULPS(q[j], wq[j], wq[j])
				g.mulEach(at(p, iq3WX+4*(n+j)), q[j], q[j])
			}
			for j := range q {
				VADDPS(q[j], sumqx[i], sumqx[i])
				VADDPS(wq[j], sumq2[i], sumq2[i])
			}
		}
	}
	ADDQ(Imm(64), words)
	ADDQ(Imm(16), p)
	INCQ(k)
	CMPQ(k, Imm(8))
	JLT(LabelRef("sums"))
	for i, c := range chunks {
		quotient := c.vec()
		VDIVPS(sumq2[i], sumqx[i], quotient)
		c.store(quotient, g.at(iq3Quotients+c.at))
		c.store(sumqx[i], g.at(iq3Sumqx+c.at))
		c.store(sumq2[i], g.at(iq3Sumq2+c.at))
	}
}

// accept finds the trial that is left when each takes the place of the best one before it where it is better.
func (g *iq3) accept() {
	out := g.param("out", 5)
	scale, best, trial, pending := XMM(), XMM(), GP64(), GP64()
	VMOVSS(at(out, iq3OutTop), scale)
	VDIVSS(const32(math.Float32bits(15)), scale, scale)
	VXORPS(best, best, best)
	MOVQ(I32(-1), trial)
	collect := func(m func(c chunk) mask) reg.GPVirtual {
		all := GP64()
		for _, c := range g.chunks() {
			b := c.bits(m(c))
			if c.at == 0 {
				MOVL(b, all.As32())
				continue
			}
			SHLL(Imm(uint64(c.at/4)), b)
			ORL(b, all.As32())
		}
		return all
	}
	MOVQ(collect(func(c chunk) mask { return c.compare(cmpGT, c.load(g.at(iq3Sumq2+c.at)), c.zero()) }), pending)
	ANDL(U32(1<<g.count()-1), pending.As32())

	Label("better")
	least, first, behind := g.wide.vec(), GP64(), GP64()
	VBROADCASTSS(best, least)
	better := collect(func(c chunk) mask {
		square, bar, each := c.load(g.at(iq3Sumqx+c.at)), c.vec(), least
		if c.lanes == 8 {
			each = least.AsY().(reg.VecVirtual)
		}
		VMULPS(square, square, square)
		VMULPS(g.at(iq3Sumq2+c.at), each, bar)
		return c.compare(cmpGT, square, bar)
	})
	ANDQ(pending, better)
	JZ(LabelRef("accepted"))
	TZCNTQ(better, first)
	MOVQ(first, trial)
	VMOVSS(Mem{Base: g.frame, Disp: iq3Quotients, Index: first, Scale: 4}, scale)
	VMULSS(Mem{Base: g.frame, Disp: iq3Sumqx, Index: first, Scale: 4}, scale, best)
	MOVQ(I32(-2), behind)
	SHLXQ(first, behind, behind)
	ANDQ(behind, pending)
	JMP(LabelRef("better"))

	Label("accepted")
	VMOVSS(scale, at(out, iq3OutScale))
	none := uint64(0)
	if !g.even { // all points are chosen anew in the end, as if off the grid
		none = offGrid
	}
	word := GP64()
	TESTQ(trial, trial)
	JNS(LabelRef("chosen"))
	MOVQ(U64(none*0x0001000100010001), word)
	MOVQ(word, at(out, iq3OutWords))
	MOVQ(word, at(out, iq3OutWords+8))
	JMP(LabelRef("again"))
	Label("chosen")
	for k := range 8 {
		MOVW(g.word(trial).Offset(64*k), word.As16())
		MOVW(word.As16(), at(out, iq3OutWords+2*k))
	}
	Label("again")
}
