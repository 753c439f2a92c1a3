package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// list makes items of the trials of four k.
func (g *iq3) list(k reg.GPVirtual) {
	index, place, end := GP64(), GP64(), GP64()
	LEAQ(g.at(iq3Index), index)
	MOVQ(k, place)
	SHLQ(Imm(5), place)
	LEAQ(Mem{Base: place, Disp: g.count()}, end)
	Label("trial")
	g.item(Mem{Base: index}, place)
	ADDQ(Imm(4), index)
	INCQ(place)
	CMPQ(place, end)
	JLT(LabelRef("trial"))
}

// item looks up the point at an index, writes it as the word of a place and appends what there is to do to the items. The
// table's entries hold a word of 15 bits, the number of lists of eight points, and the first of these. An item holds the
// offset of a list and, from bit 32 on, the place.
func (g *iq3) item(index Mem, place reg.GPVirtual) {
	e, lists, item := GP64(), GP64(), GP64()
	few, next := label("few"), label("next")
	MOVL(index, e.As32())
	MOVL(Mem{Base: g.info, Index: e, Scale: 4}, e.As32())
	MOVW(e.As16(), g.word(place))
	MOVL(e.As32(), lists.As32())
	SHRL(Imm(18), e.As32())
	SHLL(Imm(4), e.As32())
	SHRL(Imm(15), lists.As32())
	ANDL(Imm(7), lists.As32())
	MOVQ(place, item)
	SHLQ(Imm(32), item)
	ORQ(e, item)
	MOVQ(item, Mem{Base: g.frame, Disp: iq3Items, Index: g.items, Scale: 8})
	ADDQ(Imm(16), item)
	MOVQ(item, Mem{Base: g.frame, Disp: iq3More, Index: g.more, Scale: 8})
	CMPL(lists.As32(), Imm(1)) // each comparison carries unless there are so many lists
	SBBQ(I8(-1), g.items)
	CMPL(lists.As32(), Imm(2))
	SBBQ(I8(-1), g.more)
	SUBL(Imm(2), lists.As32())
	JLE(LabelRef(few))
	Label(next)
	ADDQ(Imm(16), item)
	MOVQ(item, Mem{Base: g.frame, Disp: iq3More, Index: g.more, Scale: 8})
	INCQ(g.more)
	DECL(lists.As32())
	JNZ(LabelRef(next))
	Label(few)
}

func (g *iq3) word(place reg.GPVirtual) Mem {
	return Mem{Base: g.frame, Disp: iq3Words, Index: place, Scale: 2}
}

func (g *iq3) least(place reg.GPVirtual) Mem {
	return Mem{Base: g.frame, Disp: iq3Least, Index: place, Scale: 4}
}

// work does all items: it leaves the point with the least error in the words. Eight items are done at a time; the last of
// them is done again to make up for missing ones.
func (g *iq3) work() {
	levels, lists := g.load(levelsIQ3()), GP64()
	Load(Param("lists"), lists)
	g.firstItems(levels, lists)
	g.moreItems(levels, lists)
}

func (g *iq3) firstItems(levels reg.VecVirtual, lists reg.GPVirtual) {
	p, end, last := GP64(), GP64(), GP64()
	batch, none := label("batch"), label("none")
	TESTQ(g.items, g.items)
	JZ(LabelRef(none))
	LEAQ(g.at(iq3Items), p)
	LEAQ(Mem{Base: p, Index: g.items, Scale: 8}, end)
	MOVQ(at(end, -8), last)
	for i := range 7 {
		MOVQ(last, at(end, 8*i))
	}
	Label(batch)
	for i := range 8 {
		g.store(g.errors(lists, levels, [][2]Mem{{at(p, 8*i), at(p, 8*i+4)}})[0], g.at(iq3Errors+32*i))
	}
	g.store(g.reduce(func(i int) reg.VecVirtual { return g.load(g.at(iq3Errors + 32*i)) }, g.min), g.at(iq3Minima))
	for i := range 8 {
		first, offset, place, bits := GP64(), GP64(), GP64(), GP32()
		same := g.broadcast(g.at(iq3Minima + 4*i))
		VCMPPS(Imm(cmpEQ), g.at(iq3Errors+32*i), same, same)
		VMOVMSKPS(same, first.As32())
		MOVL(at(p, 8*i), offset.As32())
		MOVL(at(p, 8*i+4), place.As32())
		TZCNTL(first.As32(), first.As32())
		ADDQ(lists, offset)
		MOVWLZX(Mem{Base: offset, Index: first, Scale: 2}, first.As32())
		MOVL(g.at(iq3Minima+4*i), bits)
		MOVW(first.As16(), g.word(place))
		MOVL(bits, g.least(place))
	}
	ADDQ(Imm(64), p)
	CMPQ(p, end)
	JLT(LabelRef(batch))
	Label(none)
}

func (g *iq3) moreItems(levels reg.VecVirtual, lists reg.GPVirtual) {
	p, end, offset, place := GP64(), GP64(), GP64(), GP64()
	item, worse, none := label("item"), label("worse"), label("none")
	TESTQ(g.more, g.more)
	JZ(LabelRef(none))
	LEAQ(g.at(iq3More), p)
	LEAQ(Mem{Base: p, Index: g.more, Scale: 8}, end)
	Label(item)
	e := g.errors(lists, levels, [][2]Mem{{at(p, 0), at(p, 4)}})[0]
	MOVL(at(p, 0), offset.As32())
	MOVL(at(p, 4), place.As32())
	ADDQ(lists, offset)
	first := g.firstLeast(e)
	MOVWLZX(Mem{Base: offset, Index: first, Scale: 2}, offset.As32())
	VUCOMISS(g.least(place), e.AsX())
	JAE(LabelRef(worse))
	MOVW(offset.As16(), g.word(place))
	VMOVSS(e.AsX(), g.least(place))
	Label(worse)
	ADDQ(Imm(8), p)
	CMPQ(p, end)
	JLT(LabelRef(item))
	Label(none)
}

// listOnce makes items of the fours that are to be chosen anew.
func (g *iq3) listOnce(out reg.GPVirtual) {
	index, words, place := GP64(), GP64(), GP64()
	LEAQ(g.at(iq3Index), index)
	MOVQ(out, words)
	XORQ(place, place)
	Label("once")
	if g.even {
		word := GP64()
		MOVW(at(words, 0), word.As16())
		MOVW(word.As16(), g.word(place))
		TESTW(U16(offGrid), word.As16())
		JZ(LabelRef("kept"))
	}
	g.item(Mem{Base: index}, place)
	Label("kept")
	ADDQ(Imm(16), index)
	ADDQ(Imm(2), words)
	ADDQ(Imm(32), place)
	CMPQ(place, U32(256))
	JLT(LabelRef("once"))
}
