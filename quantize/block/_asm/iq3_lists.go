package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Places in the frame of the lists that AVX-512 makes with compressed vectors: of items, and of those for more points.
const (
	iq3Offsets     = iq3Frame
	iq3Places      = iq3Offsets + 4*iq3MostItems
	iq3Points      = iq3Places + 4*iq3MostItems
	iq3Errs        = iq3Points + 4*iq3MostItems
	iq3MoreNumbers = iq3Errs + 4*iq3MostItems // of the items
	iq3MoreOffsets = iq3MoreNumbers + 4*iq3MostMore
	iq3MorePlaces  = iq3MoreOffsets + 4*iq3MostMore
	iq3MorePoints  = iq3MorePlaces + 4*iq3MostMore
	iq3MoreErrs    = iq3MorePoints + 4*iq3MostMore
	iq3Masks       = iq3MoreErrs + 4*iq3MostMore // of the fours: the trials with an item
	iq3Entries     = iq3Masks + 4*8              // of four k in trial t at 32*k+t
	iq3FrameWide   = iq3Entries + 4*256

	iq3MostItems = 256 + 16
	iq3MostMore  = 4*256 + 16
)

// ordinals are the integers from 0 on.
func ordinals() Mem {
	w := make([]uint32, 16)
	for i := range w {
		w[i] = uint32(i)
	}
	return table("ordinals", w...)
}

// counted is a place in an array of words in the frame.
func (g *iq3) counted(array int, i reg.GPVirtual) Mem {
	return Mem{Base: g.frame, Disp: array, Index: i, Scale: 4}
}

// append makes items of those lanes that have lists, given the table's entries and the places of the points. It returns
// the lanes with an item.
func (c chunk) append(g *iq3, e reg.VecVirtual, place reg.VecVirtual) (first reg.Register) {
	first, second, third := K(), K(), K()
	offset, counts, number := c.vec(), c.vec(), c.zero()
	VPANDD_BCST(const32(7<<15), e, counts)
	VPTESTMD(counts, counts, first)
	VPCMPUD_BCST(Imm(5), const32(2<<15), counts, second) // not less
	VPCMPUD_BCST(Imm(5), const32(3<<15), counts, third)
	VPSRLD(Imm(18), e, offset)
	VPSLLD(Imm(4), offset, offset)
	c.compress(offset, first, g.counted(iq3Offsets, g.items))
	c.compress(place, first, g.counted(iq3Places, g.items))

	numbers := c.vec()
	VPBROADCASTD(g.items.As32(), numbers)
	VPEXPANDD_Z(c.load(ordinals()), first, number)
	VPADDD(numbers, number, number)
	VPADDD_BCST(const32(16), offset, offset)
	c.compress(offset, second, g.counted(iq3MoreOffsets, g.more))
	c.compress(place, second, g.counted(iq3MorePlaces, g.more))
	c.compress(number, second, g.counted(iq3MoreNumbers, g.more))
	c.count(g.items, first)
	c.count(g.more, second)
	c.appendRest(g, third, counts, offset, place, number)
	return first
}

// count adds the number of lanes in a mask.
func (c chunk) count(n reg.GPVirtual, k reg.Register) {
	bits := GP64()
	KMOVW(k, bits.As32())
	POPCNTL(bits.As32(), bits.As32())
	ADDQ(bits, n)
}

// compress stores the lanes in the mask, one behind the other, and something behind them.
func (c chunk) compress(v reg.VecVirtual, k reg.Register, to Mem) {
	out := c.zero() // else it would count as in use before
	VPCOMPRESSD_Z(v, k, out)
	c.store(out, to)
}

// appendRest makes items of third and later lists, which are rare.
func (c chunk) appendRest(g *iq3, third reg.Register, counts, offset, place, number reg.VecVirtual) {
	bits, i, left, v := GP64(), GP64(), GP64(), GP64()
	lane, list, done := label("lane"), label("list"), label("done")
	KMOVW(third, bits.As32())
	TESTL(bits.As32(), bits.As32())
	JZ(LabelRef(done))
	const at = iq3Errors // memory for four vectors
	for n, vec := range []reg.VecVirtual{counts, offset, place, number} {
		c.store(vec, g.at(at+64*n))
	}
	Label(lane)
	TZCNTL(bits.As32(), i.As32())
	MOVL(g.counted(at, i), left.As32())
	SHRL(Imm(15), left.As32())
	SUBL(Imm(2), left.As32())
	Label(list)
	MOVL(g.counted(at+64, i), v.As32())
	ADDL(Imm(16), v.As32())
	MOVL(v.As32(), g.counted(at+64, i))
	MOVL(v.As32(), g.counted(iq3MoreOffsets, g.more))
	MOVL(g.counted(at+128, i), v.As32())
	MOVL(v.As32(), g.counted(iq3MorePlaces, g.more))
	MOVL(g.counted(at+192, i), v.As32())
	MOVL(v.As32(), g.counted(iq3MoreNumbers, g.more))
	INCQ(g.more)
	DECL(left.As32())
	JNZ(LabelRef(list))
	BLSRL(bits.As32(), bits.As32())
	JNZ(LabelRef(lane))
	Label(done)
}

// lookUp replaces the places in the table of four k by its entries; gathering them takes longer. There are none for lanes
// without a trial.
func (g *iq3) lookUp(k reg.GPVirtual) {
	at, e := GP64(), GP64()
	MOVQ(k, at)
	SHLQ(Imm(7), at)
	for i := range g.count() {
		MOVL(g.at(iq3Index+4*i), e.As32())
		MOVL(Mem{Base: g.info, Index: e, Scale: 4}, e.As32())
		MOVL(e.As32(), Mem{Base: g.frame, Disp: iq3Entries + 4*i, Index: at, Scale: 1})
	}
	XORL(e.As32(), e.As32())
	for i := g.count(); i%8 != 0; i++ {
		MOVL(e.As32(), Mem{Base: g.frame, Disp: iq3Entries + 4*i, Index: at, Scale: 1})
	}
}

// lists makes items of the trials of four k.
func (g *iq3) lists(k reg.GPVirtual) {
	first, bits, all := GP32(), GP32(), GP32()
	XORL(all, all)
	for _, c := range g.chunks() {
		place := c.vec()
		MOVL(k.As32(), first)
		SHLL(Imm(5), first)
		ADDL(U32(c.at/4), first)
		VPBROADCASTD(first, place)
		VPADDD(ordinals(), place, place)
		words := GP64()
		MOVQ(k, words)
		SHLQ(Imm(6), words)
		entries := c.load(Mem{Base: g.frame, Disp: iq3Entries + c.at, Index: words, Scale: 2})
		items := c.append(g, entries, place)
		VPMOVDW(entries, Mem{Base: g.frame, Disp: iq3Words + c.at/2, Index: words, Scale: 1})
		KMOVW(items, bits)
		SHLL(Imm(uint64(c.at/4)), bits)
		ORL(bits, all)
	}
	MOVL(all, g.counted(iq3Masks, k))
}

// expand puts the points of the items in a mask, the next ones from i on, into the words of their lanes.
func (c chunk) expand(g *iq3, i reg.GPVirtual, items reg.Register, words reg.VecVirtual) {
	VPEXPANDD(c.load(g.counted(iq3Points, i)), items, words)
	c.count(i, items)
}
