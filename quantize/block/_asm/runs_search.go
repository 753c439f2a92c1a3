package main

import (
	"math"

	"github.com/mmcloughlin/avo/attr"
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// A word holds a point: digit i in the lower two bits of nibble i, i%4 in the upper ones, so that nibbles pick from
// vectors of four values of three, or two from eight lanes. The highest bit is clear for points that need no search.
// Words to search hold that bit, the place of the neighbours in units of eight, and in the lowest 8 bits how many eights.

func init() {
	generators["runs_search"] = func() {
		for _, n := range []int{16, 32} {
			q := runs{isa: isas[1], n: n}
			q.look()
			q.search("searchRuns", false)
			q.search("searchShifted", true)
		}
	}
}

// look generates the translation of numbers into words, with a list of those to search.
func (q runs) look() {
	TEXT("lookRuns"+map[int]string{16: "16", 32: "32"}[q.n], attr.NOSPLIT, "func(scratch *float32, words *uint32, trials int) (n int)")
	Pragma("noescape")
	Doc("look translates numbers of points into words and lists those that are to be searched.")
	p, words, left := param("scratch"), param("words"), param("trials")
	numbers, list, word, run := GP64(), GP64(), GP64(), GP64()
	LEAQ(at(p, runNumbers), numbers)
	LEAQ(at(p, runList), list)
	XORQ(word, word)
	trial := label("trial")
	Label(trial)
	MOVQ(U32(16), run)
	l := label("run")
	Label(l)
	for k := range q.k() {
		number, w, index := GP32(), GP32(), GP32()
		MOVWLZX(at(numbers, 2*k), number)
		MOVL(Mem{Base: words, Index: number.As64(), Scale: 4}, w)
		MOVL(w, Mem{Base: p, Index: word, Scale: 4, Disp: runWords + 64*k})
		LEAL(Mem{Base: word, Disp: 16 * k}, index)
		MOVW(index.As16(), Mem{Base: list})
		SHRL(U8(31), w)
		LEAQ(Mem{Base: list, Index: w.As64(), Scale: 2}, list)
	}
	ADDQ(U8(2*q.k()), numbers)
	INCQ(word)
	DECQ(run)
	JNZ(LabelRef(l))
	ADDQ(U32(16*(q.k()-1)), word)
	DECQ(left)
	JNZ(LabelRef(trial))
	ADDQ(U32(runList), p)
	SUBQ(p, list)
	SHRQ(U8(1), list)
	Store(list, ReturnIndex(0))
	RET()
}

// search generates the search of the listed words. The values of digits are 1, 3, 5, or -1, 0, 1 that are shifted.
func (q runs) search(name string, shifted bool) {
	name += map[int]string{16: "16", 32: "32"}[q.n]
	TEXT(name, attr.NOSPLIT, "func(scratch *float32, near *uint32, n int)")
	Pragma("noescape")
	Doc(name + " replaces the listed words by those of the neighbours with the least error.")
	p, near, left := param("scratch"), param("near"), param("n")
	list := GP64()
	LEAQ(at(p, runList), list)
	levels, levelTable := q.load(levelsTable("levelsIQ2", 1, 3, 5)), GP64()
	if shifted {
		LEAQ(levelsTable("levelsIQ1", -0.875, 0.125, 1.125, 0, -0.875, 0.125, 1.125, 0, -1.125, -0.125, 0.875), levelTable)
	}
	positions := q.load(table("positions", 0, 1, 2, 3, 4, 5, 6, 7))
	l, next := label("word"), label("next")
	Label(l)
	index, entry, group, scale := GP32(), GP32(), GP32(), GP32()
	MOVWLZX(Mem{Base: list}, index)
	MOVL(Mem{Base: p, Index: index.As64(), Scale: 4, Disp: runWords}, entry)
	MOVL(index, group)
	MOVL(index, scale)
	ANDL(U8(16*q.k()-1), group)
	if shifted {
		shift := GP32()
		MOVL(Mem{Base: p, Index: group.As64(), Scale: 4, Disp: runShifts}, shift)
		levels = q.load(Mem{Base: levelTable, Index: shift.As64(), Scale: 1})
	}
	SHLL(U8(8), group)
	// Scales come in rows of 16 runs, words in k rows of these.
	run := GP32()
	MOVL(index, run)
	ANDL(U8(15), run)
	SHRL(U8(map[int]int{2: 5, 4: 6}[q.k()]), scale)
	SHLL(U8(4), scale)
	ORL(run, scale)
	count, place := GP32(), GP64()
	MOVBLZX(entry.As8(), count)
	ANDL(U32(0x7fffff00), entry)
	SHRL(U8(8-5), entry) // eights of four bytes
	LEAQ(Mem{Base: near, Index: entry.As64(), Scale: 1}, place)
	terms := q.terms(p, scale, group, levels)

	e := q.errors(terms, place)
	many := label("many")
	CMPL(count, U8(1))
	JNE(LabelRef(many))
	first := GP32()
	TZCNTL(q.bits(q.compare(cmpEQ, e, q.least(e))), first)
	Label(next)
	MOVL(Mem{Base: place, Index: first.As64(), Scale: 4}, entry)
	MOVL(entry, Mem{Base: p, Index: index.As64(), Scale: 4, Disp: runWords})
	ADDQ(U8(2), list)
	DECQ(left)
	JNZ(LabelRef(l))
	VZEROUPPER()
	RET()

	Label(many)
	best, best2, at, from := e, q.vec(), q.vec(), GP64()
	VMOVDQU(positions, at)
	VMOVDQU(positions, best2)
	MOVQ(place, from)
	eight := label("eight")
	Label(eight)
	ADDQ(U8(32), place)
	e = q.errors(terms, place)
	VPADDD(q.each32(8), at, at)
	less := q.compare(cmpLT, e, best)
	VMINPS(best, e, best)
	VBLENDVPS(less, at, best2, best2)
	DECL(count)
	CMPL(count, U8(1))
	JNE(LabelRef(eight))
	// The first of the lanes with the least error, as 16-bit numbers.
	unequal := q.vec()
	VCMPPS(U8(cmpNEQ), q.least(best), best, unequal)
	VPOR(best2, unequal, unequal)
	VPMINUD(q.each32(0x7fff), unequal, unequal)
	half := XMM()
	VEXTRACTI128(U8(1), unequal, half)
	VPACKUSDW(half, unequal.AsX(), half)
	VPHMINPOSUW(half, half)
	VPEXTRW(U8(0), half, first)
	MOVQ(from, place)
	JMP(LabelRef(next))
}

// levelsTable has floats, and the first four of eight once more.
func levelsTable(name string, floats ...float32) Mem {
	var words []uint32
	for len(floats)%4 != 0 {
		floats = append(floats, 0)
	}
	for _, f := range floats {
		words = append(words, math.Float32bits(f))
	}
	if len(words)%8 != 0 {
		words = append(words, words[len(words)-4:]...)
	}
	return table(name, words...)
}

// terms are the errors of a group by digit, of two digits in each vector.
func (q runs) terms(p reg.GPVirtual, scale, group reg.GPVirtual, levels reg.VecVirtual) (terms [4]reg.VecVirtual) {
	scaled := q.mul(levels, q.broadcast(Mem{Base: p, Index: scale.As64(), Scale: 4, Disp: runScales}))
	for j := range terms {
		diff := q.sub(scaled, Mem{Base: p, Index: group.As64(), Scale: 1, Disp: runSpread + 32*j})
		terms[j] = q.mul(diff, Mem{Base: p, Index: group.As64(), Scale: 1, Disp: runSpread + 128 + 32*j})
		VMULPS(diff, terms[j], terms[j])
	}
	return terms
}

// errors are those of the eight points at place.
func (q runs) errors(terms [4]reg.VecVirtual, place reg.GPVirtual) reg.VecVirtual {
	sum := q.vec()
	words := q.vec()
	VMOVDQU(Mem{Base: place}, words)
	for i := range 8 {
		index := words
		if i > 0 {
			index = q.vec()
			VPSRLD(U8(4*i), words, index)
		}
		if i == 0 {
			VPERMPS(terms[0], index, sum)
			continue
		}
		t := q.vec()
		VPERMPS(terms[i/2], index, t)
		VADDPS(t, sum, sum)
	}
	return sum
}

// least has the least lane in all lanes.
func (q runs) least(v reg.VecVirtual) reg.VecVirtual {
	other, least := q.vec(), q.vec()
	VPERM2F128(U8(1), v, v, other)
	VMINPS(other, v, least)
	VPERMILPS(U8(0x4e), least, other)
	VMINPS(other, least, least)
	VPERMILPS(U8(0xb1), least, other)
	VMINPS(other, least, least)
	return least
}
