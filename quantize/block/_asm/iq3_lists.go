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

// workAll does all items: it leaves the point with the least error, and this, in arrays of the items.
func (g *iq3) workAll() {
	levels, lists := g.load(levelsIQ3()), GP64()
	Load(Param("lists"), lists)
	g.batches(g.items, levels, lists, iq3Offsets, iq3Places, iq3Points, iq3Errs)
	g.batches(g.more, levels, lists, iq3MoreOffsets, iq3MorePlaces, iq3MorePoints, iq3MoreErrs)

	i, number, err, point := GP64(), GP64(), GP32(), GP32()
	item, worse, none := label("item"), label("worse"), label("none")
	XORQ(i, i)
	TESTQ(g.more, g.more)
	JZ(LabelRef(none))
	Label(item)
	MOVL(g.counted(iq3MoreNumbers, i), number.As32())
	MOVL(g.counted(iq3MoreErrs, i), err)
	MOVL(g.counted(iq3MorePoints, i), point)
	CMPL(err, g.counted(iq3Errs, number)) // as integers: no error is below 0
	JGE(LabelRef(worse))
	MOVL(err, g.counted(iq3Errs, number))
	MOVL(point, g.counted(iq3Points, number))
	Label(worse)
	INCQ(i)
	CMPQ(i, g.more)
	JLT(LabelRef(item))
	Label(none)
}

// expand puts the points of the items in a mask, the next ones from i on, into the words of their lanes.
func (c chunk) expand(g *iq3, i reg.GPVirtual, items reg.Register, words reg.VecVirtual) {
	VPEXPANDD(c.load(g.counted(iq3Points, i)), items, words)
	c.count(i, items)
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

// batches does items in eights; those behind the last one are done as if they were like it.
func (g *iq3) batches(count reg.GPVirtual, levels reg.VecVirtual, lists reg.GPVirtual, offsets, places, points, errs int) {
	i, batch, none := GP64(), label("batch"), label("none")
	TESTQ(count, count)
	JZ(LabelRef(none))
	for _, array := range []int{offsets, places} {
		last := g.broadcast(g.counted(array-4, count))
		g.store(last, g.counted(array, count))
	}
	XORQ(i, i)
	Label(batch)
	var e []reg.VecVirtual
	for n := 0; n < 8; n += 2 {
		e = append(e, g.errors(lists, levels, [][2]Mem{
			{g.counted(offsets+4*n, i), g.counted(places+4*n, i)},
			{g.counted(offsets+4*n+4, i), g.counted(places+4*n+4, i)},
		})...)
	}
	least, lane := g.firstsOf(e)
	VPADDD(lane, lane, lane)
	VPADDD(g.counted(offsets, i), lane, lane)
	g.store(lane, g.at(iq3Errors))
	g.store(least, g.counted(errs, i))
	for n := range 8 { // gathering them takes longer
		word := GP64()
		MOVL(g.at(iq3Errors+4*n), word.As32())
		MOVWLZX(Mem{Base: lists, Index: word, Scale: 1}, word.As32())
		MOVL(word.As32(), g.counted(points+4*n, i))
	}
	ADDQ(Imm(8), i)
	CMPQ(i, count)
	JLT(LabelRef(batch))
	Label(none)
}

// firstsOf are the least values of eight vectors, and the numbers of the first lanes that hold them.
func (g *iq3) firstsOf(e []reg.VecVirtual) (least, lane reg.VecVirtual) {
	type pair struct{ value, lane reg.VecVirtual }
	merge := func(x, y pair, shuffle func(half uint64, x, y, to reg.VecVirtual), lanes [2]Mem) pair {
		a, b := pair{g.vec(), g.vec()}, pair{g.vec(), nil}
		shuffle(0, x.value, y.value, a.value)
		shuffle(1, x.value, y.value, b.value)
		later := g.lessMask(b.value, a.value)
		if x.lane == nil {
			VMOVDQU32(lanes[0], a.lane)
			VMOVDQU32(lanes[1], later, a.lane)
		} else {
			b.lane = g.vec()
			shuffle(0, x.lane, y.lane, a.lane)
			shuffle(1, x.lane, y.lane, b.lane)
			VMOVDQA32(b.lane, later, a.lane)
		}
		VMINPS(a.value, b.value, a.value)
		return a
	}
	quads := func(half uint64, x, y, to reg.VecVirtual) { VSHUFPS(Imm([]uint64{0x88, 0xdd}[half]), y, x, to) }
	halves := func(half uint64, x, y, to reg.VecVirtual) { VPERM2F128(Imm([]uint64{0x20, 0x31}[half]), y, x, to) }
	lanes := [2]Mem{table("lanesEven", 0, 2, 0, 2, 4, 6, 4, 6), table("lanesOdd", 1, 3, 1, 3, 5, 7, 5, 7)}
	var twos, fours []pair
	for i := 0; i < 8; i += 2 {
		twos = append(twos, merge(pair{e[i], nil}, pair{e[i+1], nil}, quads, lanes))
	}
	for i := 0; i < 4; i += 2 {
		fours = append(fours, merge(twos[i], twos[i+1], quads, lanes))
	}
	all := merge(fours[0], fours[1], halves, lanes)
	return all.value, all.lane
}

// lessMask is the mask of lanes where a is less.
func (g *iq3) lessMask(a, b reg.VecVirtual) reg.Register {
	k := K()
	VCMPPS(Imm(cmpLT), b, a, k)
	return k
}
