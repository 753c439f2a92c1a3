package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// levelsIQ3 are the values of levels, for three and for four bits.
func levelsIQ3() Mem {
	levels := make([]float32, 16)
	for i := range levels {
		levels[i] = float32(2*(i&7) + 1)
	}
	return table("levelsIQ3", floatBits(levels)...)
}

// errors are those of the eight points of each of some items: the offset of a list, and a place. One step is taken for all of them before the next, so that
// little waits for results.
func (g *iq3) errors(lists reg.GPVirtual, levels reg.VecVirtual, items [][2]Mem) []reg.VecVirtual {
	n := len(items)
	values, words, scaled := make([]reg.GPVirtual, n), make([]reg.VecVirtual, n), make([]reg.VecVirtual, n)
	d, e := make([][4]reg.VecVirtual, n), make([][4]reg.VecVirtual, n)
	each := func(f func(i, j int)) {
		for i := range n {
			for j := range 4 {
				f(i, j)
			}
		}
	}
	for i, item := range items {
		points, place := GP64(), GP64()
		words[i] = g.vec()
		MOVL(item[0], points.As32())
		VPMOVZXWD(Mem{Base: lists, Index: points, Scale: 1}, words[i])
		MOVL(item[1], place.As32())
		scaled[i] = g.broadcast(Mem{Base: g.frame, Disp: iq3Scales, Index: place, Scale: 4})
		SHRL(Imm(1), place.As32())
		ANDL(Imm(0x70), place.As32())
		values[i] = place
	}
	for i := range items {
		VMULPS(levels, scaled[i], scaled[i])
	}
	each(func(i, j int) {
		x := Mem{Base: g.frame, Disp: iq3X + 4*j, Index: values[i], Scale: 1}
		d[i][j] = g.vec()
		if g.wide.wide() {
			VSUBPS_BCST(x, scaled[i], d[i][j])
		} else {
			VSUBPS(g.broadcast(x), scaled[i], d[i][j])
		}
	})
	each(func(i, j int) {
		e[i][j] = g.vec()
		g.mulEach(Mem{Base: g.frame, Disp: iq3Roots + 4*j, Index: values[i], Scale: 1}, d[i][j], e[i][j])
	})
	each(func(i, j int) { VMULPS(d[i][j], e[i][j], e[i][j]) })
	for j := range 4 {
		for i := range n {
			if j > 0 {
				VPSRLD(Imm(4), words[i], words[i])
			}
			VPERMPS(e[i][j], words[i], e[i][j])
		}
	}
	sums := make([]reg.VecVirtual, n)
	for j := range 4 {
		for i := range n {
			if j == 0 {
				sums[i] = e[i][0]
			} else {
				VADDPS(e[i][j], sums[i], sums[i])
			}
		}
	}
	return sums
}

// mulEach multiplies by a float in memory.
func (g *iq3) mulEach(m Mem, a, product reg.VecVirtual) {
	if g.wide.wide() {
		VMULPS_BCST(m, a, product)
	} else {
		VMULPS(g.broadcast(m), a, product)
	}
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
