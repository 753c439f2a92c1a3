package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

func init() {
	generators["iq1"] = func() {
		for _, s := range isas {
			for _, n := range []int{16, 32} {
				q := iq1{runs{isa: s, n: n}}
				q.weigh(runWeights{name: "Values", signed: true})
				if n == 16 {
					q.weigh(runWeights{name: "Squares", signed: true, weight: squareWeight})
				}
				q.sort()
				q.divide()
				q.digits()
				q.refit()
			}
		}
	}
}

// digits generates the numbers of the points of the best divisions. Where the scale is negative, digits and shifts are turned round.
func (q iq1) digits() {
	q.function("digits", "", "writes the numbers of the points of the divisions, and makes scales positive.")
	for i := 0; i < 32*q.k(); i += q.bytes() { // there is one trial
		q.store(q.each32(0xffffffff), q.at(runEnds+i))
	}
	for first := 0; first < 16; first += q.lanes {
		split := q.load(q.at(runSplit + 4*first))
		from, to := q.end(split, 0, first), q.end(split, 8, first)
		scale := q.load(q.at(runScale + 4*first))
		turned := q.compare(cmpLT, scale, q.zero())
		scale = q.abs(scale)
		q.store(scale, q.at(runScale+4*first))
		q.store(scale, q.at(runScales+4*first))
		q.shifts(split, turned, first)
		var pair reg.VecVirtual
		for k := range q.k() {
			number := q.number(from, to, turned, k, first)
			if k%2 == 0 {
				pair = number
				continue
			}
			VPSLLD(U8(16), number, number)
			q.storePair(q.or(pair, number), k/2, first)
		}
	}
	VZEROUPPER()
	RET()
}

// end is the key at which the part ends whose place in the sorted run the byte at these bits of split says.
func (q iq1) end(split reg.VecVirtual, shift, first int) reg.VecVirtual {
	index := q.vec()
	VPSRLD(U8(shift), split, index)
	index = q.and(index, q.each32(0xff))
	VPMINUD(q.each32(uint32(q.n)), index, index) // there may be no division
	VPSLLD(U8(4), index, index)
	VPADDD(q.lane(first), index, index)
	return q.gatherAt(index, runSorted)
}

// lane is a vector of the lanes' numbers.
func (q runs) lane(first int) reg.VecVirtual {
	lanes := make([]uint32, q.lanes)
	for i := range lanes {
		lanes[i] = uint32(first + i)
	}
	return q.load(table("lanes"+q.name+string(rune('0'+first/8)), lanes...))
}

// number is that of group k: digits are 0 below from, 2 from to on.
func (q iq1) number(from, to reg.VecVirtual, turned mask, k, first int) reg.VecVirtual {
	number := q.zero()
	for i := 8*k + 7; i >= 8*k; i-- {
		key := q.load(q.at(runKeys + 64*i + 4*first))
		twice := q.vec()
		VPADDD(number, number, twice)
		VPADDD(twice, number, number)
		VPADDD(q.each32(2), number, number)
		q.decrement(q.greater(from, key), number)
		q.decrement(q.greater(to, key), number)
	}
	other := q.vec()
	VPSUBD(number, q.each32(6560), other) // with the digits 2-d
	return q.choose(turned, other, number)
}

// decrement subtracts 1 from the lanes in the mask.
func (q iq1) decrement(m mask, v reg.VecVirtual) {
	if q.wide() {
		VPADDD(q.each32(0xffffffff), v, m, v)
	} else {
		VPADDD(m, v, v)
	}
}

// storePair stores pairs of numbers, the first or second ones of the runs.
func (q iq1) storePair(pairs reg.VecVirtual, pair, first int) {
	if q.k() == 2 {
		q.store(pairs, q.at(runNumbers+4*first))
		return
	}
	q.store(pairs, q.at(runPairs+64*pair+4*first))
	if pair == 0 {
		return
	}
	even := q.load(q.at(runPairs + 4*first))
	low, high := q.vec(), q.vec()
	VPUNPCKLDQ(pairs, even, low)
	VPUNPCKHDQ(pairs, even, high)
	to := q.at(runNumbers + 8*first)
	for i := range q.lanes / 4 { // each 128 bits hold two runs of low, and those of high come after them
		x := XMM()
		for j, v := range []reg.VecVirtual{low, high} {
			if q.wide() {
				VEXTRACTI32X4(U8(i), v, x)
			} else {
				VEXTRACTI128(U8(i), v, x)
			}
			VMOVDQU(x, to.Offset(32*i+16*j))
		}
	}
}

// shifts writes the shifts of the groups, of which a division turned round has the other ones.
func (q iq1) shifts(split reg.VecVirtual, turned mask, first int) {
	bits := q.vec()
	VPSRLD(U8(16), split, bits)
	all := q.each32(1)
	if q.halves() == 2 {
		all = q.each32(3)
	}
	bits = q.and(q.choose(turned, q.xor(bits, all), bits), all)
	for k := range q.k() {
		shift := q.vec()
		switch {
		case q.halves() == 1:
			VPSLLD(U8(4), bits, shift)
		case k == 0:
			VPSRLD(U8(1), bits, shift)
			VPSLLD(U8(4), shift, shift)
		default:
			VPSLLD(U8(4), q.and(bits, q.each32(1)), shift)
		}
		q.store(shift, q.at(runShifts+64*k+4*first))
	}
}

// refit generates the scales of runs some points of which came from a search.
func (q iq1) refit() {
	q.function("refit", "", "fits the scales of runs with points that were searched.")
	var words []uint32
	for range q.lanes / 4 {
		words = append(words, 0xbf800000, 0, 0x3f800000, 0)
	}
	levels := q.load(table("digits"+q.name, words...))
	for first := 0; first < 16; first += q.lanes {
		qx, q2 := q.zero(), q.zero()
		var searched mask
		for k, points := range q.words(q.base, first) {
			q.store(points, q.at(runChosen+64*k+4*first))
			if m := q.negative(points); k == 0 {
				searched = m
			} else {
				searched = q.either(searched, m)
			}
			delta := q.load(q.at(runShifts + 64*k + 4*first))
			VPSLLD(U8(27), delta, delta) // the sign, for what is shifted down
			delta = q.or(delta, q.eachF32(0.125))
			q.add8(qx, q2, levels, delta, points, k, first)
		}
		fits := q.both(searched, q.both(q.compare(cmpGT, qx, q.zero()), q.compare(cmpGT, q2, q.zero())))
		scale := q.load(q.at(runScale + 4*first))
		q.update(fits, q.div(qx, q2), scale)
		q.store(scale, q.at(runScale+4*first))
	}
	VZEROUPPER()
	RET()
}

// add8 adds to qx and q2 the terms of group k.
func (q iq1) add8(qx, q2, levels, delta, words reg.VecVirtual, k, first int) {
	for i := range 8 {
		index := words
		if i > 0 {
			index = q.vec()
			VPSRLD(U8(4*i), words, index)
		}
		value := q.vec()
		VPERMPS(levels, index, value)
		VADDPS(delta, value, value)
		lanes := runLanes + (8*k+i)*row + 4*first
		wq := q.mul(value, q.at(lanes+64))
		VADDPS(q.mul(wq, q.at(lanes)), qx, qx)
		VADDPS(q.mul(wq, value), q2, q2)
	}
}
