package main

import (
	"fmt"
	"math"
	"math/bits"

	"github.com/mmcloughlin/avo/attr"
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

func init() {
	generators["runs_search"] = func() {
		for _, n := range []int{16, 32} {
			q := runs{isa: isas[1], n: n}
			q.look()
			q.fill()
			for _, s := range isas {
				q.isa = s
				q.search("search", false)
				q.search("searchShifted", true)
			}
		}
	}
}

// A word holds a point: digit i in the lower two bits of nibble i, i%4 in the upper ones, so that nibbles pick from vectors of
// four values of three, or two, digits. The highest bit is clear for points that need no search; the next one is set for
// these, and for points found by a search with no other one in sight.
// Neighbours are given to AVX-512 in another form: the number of the first three digits, and from the second byte on nibbles of
// the others.
// Words to search hold the highest bit, the number of vectors of neighbours, and in the lowest bits where these are. Vectors are
// filled up with digits of 3, which stand for a value that gives large errors.
const (
	wordCount = 6
	wordPlace = 31 - wordCount
	noDigit   = 1e9
)

// byRun is a kernel's name.
func (q runs) byRun(name string) string { return fmt.Sprintf("%s%d", name, q.n) }

// groupBits is the binary logarithm of the number of groups of a run.
func (q runs) groupBits() uint64 { return uint64(bits.Len(uint(q.k())) - 1) }

// look generates the translation of numbers into words, with a list of those to search: the first and the last ones of the
// trials that round a group the same.
func (q runs) look() {
	TEXT(q.byRun("look"), attr.NOSPLIT, "func(scratch *float32, words *uint32, trials int) (n int)")
	Pragma("noescape")
	Doc(q.byRun("look") + " translates numbers of points into words and lists those that are to be searched first.")
	p, words, left := param("scratch"), param("words"), param("trials")
	list, i := GP64(), GP64()
	LEAQ(at(p, runList), list)
	XORQ(i, i)
	SHLQ(U8(2+q.groupBits()), left) // by fours
	l := label("four")
	Label(l)
	for j := range 4 {
		number, w, index := GP32(), GP32(), GP32()
		MOVWLZX(Mem{Base: p, Index: i, Scale: 2, Disp: runNumbers + 2*j}, number)
		MOVL(Mem{Base: words, Index: number.As64(), Scale: 4}, w)
		MOVL(w, Mem{Base: p, Index: i, Scale: 4, Disp: runWords + 4*j})
		LEAL(Mem{Base: i, Disp: j}, index)
		MOVW(index.As16(), Mem{Base: list})
		SHRL(U8(31), w)
		ANDW(Mem{Base: p, Index: i, Scale: 2, Disp: runEnds + 2*j}, w.As16())
		LEAQ(Mem{Base: list, Index: w.As64(), Scale: 2}, list)
	}
	ADDQ(U8(4), i)
	DECQ(left)
	JNZ(LabelRef(l))
	ADDQ(U32(runList), p)
	SUBQ(p, list)
	SHRQ(U8(1), list)
	Store(list, ReturnIndex(0))
	RET()
}

// fill generates the second half of look, after the search. Of two scales, with the same nearest digits and neighbours, let one
// neighbour be the nearest to both with no other one in sight. Then so it is to all scales between: the differences between its
// error and those of others, divided by the scale, are linear in the scale.
func (q runs) fill() {
	TEXT(q.byRun("fill"), attr.NOSPLIT, "func(scratch *float32, trials, mask int) (n int)")
	Pragma("noescape")
	Doc(q.byRun("fill")+" sets the words between those that agree, and lists the others, of trials whose number has no bits of the mask.",
		"What is listed counts as an end afterwards.")
	p, trials, mask := param("scratch"), param("trials"), param("mask")
	groups := 16 * q.k()
	list, column := GP64(), GP64()
	LEAQ(at(p, runList), list)
	XORQ(column, column)
	columns := label("column")
	Label(columns)
	i, left, last := GP64(), GP64(), q.zero()
	MOVQ(trials, left)
	IMUL3Q(U32(groups), left, i)
	ADDQ(column, i)
	m := func(off, bytes int) Mem { return Mem{Base: p, Index: i, Scale: uint8(bytes), Disp: off} }
	ends := q.vec()
	back := label("back")
	Label(back)
	SUBQ(U32(groups), i)
	VPMOVSXWD(m(runEnds, 2), ends)
	VBLENDVPS(ends, m(runWords, 4), last, last)
	VMOVDQU(last, m(runBack, 4))
	DECQ(left)
	JNZ(LabelRef(back))

	MOVQ(trials, left)
	forth, next, push := label("forth"), label("next"), label("push")
	Label(forth)
	word, agree, sure := q.load(m(runWords, 4)), q.vec(), q.vec()
	VPMOVSXWD(m(runEnds, 2), ends)
	VBLENDVPS(ends, word, last, last)
	VPCMPEQD(m(runBack, 4), last, agree)
	VPADDD(last, last, sure) // the bit next to the highest
	VPAND(sure, agree, agree)
	VPOR(ends, agree, agree)
	now := q.vec()
	VBLENDVPS(agree, last, word, now)
	VMOVDQU(now, m(runWords, 4))
	VPANDN(word, agree, word)
	number, open := GP64(), GP32()
	MOVQ(trials, number)
	SUBQ(left, number)
	TESTQ(mask, number)
	JNZ(LabelRef(next))
	VMOVMSKPS(word, open)
	TESTL(open, open)
	JNZ(LabelRef(push))
	Label(next)
	ADDQ(U32(groups), i)
	DECQ(left)
	JNZ(LabelRef(forth))
	ADDQ(U8(8), column)
	CMPQ(column, U8(groups))
	JL(LabelRef(columns))
	ADDQ(U32(runList), p)
	SUBQ(p, list)
	SHRQ(U8(1), list)
	VZEROUPPER()
	Store(list, ReturnIndex(0))
	RET()

	Label(push)
	VPSRAD(U8(31), word, word)
	VPOR(ends, word, word)
	VPACKSSDW(word, word, word)
	VPERMQ(U8(0xd8), word, word)
	VMOVDQU(word.AsX(), m(runEnds, 2))
	lanes := label("lanes")
	Label(lanes)
	lane := GP32()
	TZCNTL(open, lane)
	ADDL(i.As32(), lane)
	MOVW(lane.As16(), Mem{Base: list})
	ADDQ(U8(2), list)
	BLSRL(open, open)
	JNZ(LabelRef(lanes))
	JMP(LabelRef(next))
}

// search generates the search of the listed words. The values of digits are 1, 3, 5, or -1, 0, 1 that are shifted.
func (q runs) search(name string, shifted bool) {
	name = q.byRun(name) + q.name
	TEXT(name, attr.NOSPLIT, "func(scratch *float32, near *uint32, n int)")
	Pragma("noescape")
	Doc(name + " replaces the listed words by those of the neighbours with the least error.")
	p, near, left := param("scratch"), param("near"), param("n")
	list, levelTable := GP64(), GP64()
	LEAQ(at(p, runList), list)
	var levels reg.VecVirtual
	if shifted {
		LEAQ(levelsTable("levelsIQ1", -0.875, 0.125, 1.125, noDigit, -1.125, -0.125, 0.875, noDigit), levelTable)
	} else {
		levels = q.levels()
	}
	w := search{runs: q, p: p, near: near, levels: levels, levelTable: levelTable, shifted: shifted, none: q.eachF32(3e38), lanesOf: q.lane(0)}
	if q.wide() {
		w.wordTable = GP64()
		LEAQ(threeWords(), w.wordTable)
	}
	batch, errors, results, n, slot, slots := label("batch"), label("errors"), label("results"), GP64(), GP64(), GP64()
	Label(batch)
	MOVQ(U32(searchBatch), n)
	CMPQ(left, n)
	CMOVQLT(left, n)
	XORQ(slot, slot)
	MOVQ(p, slots)
	Label(errors)
	w.errorsOf(list, slot, slots)
	ADDQ(U8(q.bytes()), slots)
	INCQ(slot)
	CMPQ(slot, n)
	JL(LabelRef(errors))
	w.reduceAll(n)
	XORQ(slot, slot)
	MOVQ(p, slots)
	Label(results)
	w.result(list, slot, slots)
	ADDQ(U8(q.bytes()), slots)
	INCQ(slot)
	CMPQ(slot, n)
	JL(LabelRef(results))
	LEAQ(Mem{Base: list, Index: n, Scale: 2}, list)
	SUBQ(n, left)
	JNZ(LabelRef(batch))
	VZEROUPPER()
	RET()
	w.ties()
}

// levels picks 1, 3 or 5 by the lowest bits of words.
func (s isa) levels() reg.VecVirtual {
	var words []uint32
	for range s.lanes / 4 {
		words = append(words, math.Float32bits(1), math.Float32bits(3), math.Float32bits(5), math.Float32bits(noDigit))
	}
	return s.load(table("levels"+s.name, words...))
}

func levelsTable(name string, floats ...float32) Mem {
	var words []uint32
	for _, f := range floats {
		words = append(words, math.Float32bits(f))
	}
	return table(name, words...)
}

// shiftedLevels are those of the group's shift.
func (q runs) shiftedLevels(p, group, levelTable reg.GPVirtual) reg.VecVirtual {
	run, shift := GP32(), GP32()
	MOVL(group, run)
	SHRL(U8(q.groupBits()), run)
	MOVL(group, shift)
	ANDL(U8(q.k()-1), shift)
	SHLL(U8(4), shift)
	ORL(run, shift)
	MOVL(Mem{Base: p, Index: shift.As64(), Scale: 4, Disp: runShifts}, shift)
	v := q.vec()
	m := Mem{Base: levelTable, Index: shift.As64(), Scale: 1}
	if q.wide() {
		VBROADCASTF32X4(m, v)
	} else {
		VBROADCASTF128(m, v)
	}
	return v
}
