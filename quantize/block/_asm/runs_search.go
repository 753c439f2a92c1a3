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
	f := filling{runs: q, p: param("scratch"), trials: param("trials"), mask: param("mask"), list: GP64(), column: GP64()}
	LEAQ(at(f.p, runList), f.list)
	XORQ(f.column, f.column)
	columns := label("column")
	Label(columns)
	f.eight()
	ADDQ(U8(8), f.column)
	CMPQ(f.column, U8(16*q.k()))
	JL(LabelRef(columns))
	ADDQ(U32(runList), f.p)
	SUBQ(f.p, f.list)
	SHRQ(U8(1), f.list)
	VZEROUPPER()
	Store(f.list, ReturnIndex(0))
	RET()
}

// filling is the work of fill on eight groups side by side.
type filling struct {
	runs
	p, trials, mask, list, column, word reg.GPVirtual
}

// of is the memory of the current words at an offset, of elements of this size.
func (f *filling) of(off, bytes int) Mem {
	return Mem{Base: f.p, Index: f.word, Scale: uint8(bytes), Disp: off}
}

// eight goes through the trials backward, to know the ends that follow, and then forward.
func (f *filling) eight() {
	left, last, ends := GP64(), f.zero(), f.vec()
	f.word = GP64()
	MOVQ(f.trials, left)
	IMUL3Q(U32(16*f.k()), left, f.word)
	ADDQ(f.column, f.word)
	back, forth := label("back"), label("forth")
	Label(back)
	SUBQ(U32(16*f.k()), f.word)
	VPMOVSXWD(f.of(runEnds, 2), ends)
	VBLENDVPS(ends, f.of(runWords, 4), last, last)
	VMOVDQU(last, f.of(runBack, 4))
	DECQ(left)
	JNZ(LabelRef(back))
	MOVQ(f.trials, left)
	Label(forth)
	f.between(left, last, ends)
	ADDQ(U32(16*f.k()), f.word)
	DECQ(left)
	JNZ(LabelRef(forth))
}

// between sets the words between the last ends and those that follow, or lists them.
func (f *filling) between(left reg.GPVirtual, last, ends reg.VecVirtual) {
	word, agree, sure, now := f.load(f.of(runWords, 4)), f.vec(), f.vec(), f.vec()
	VPMOVSXWD(f.of(runEnds, 2), ends)
	VBLENDVPS(ends, word, last, last)
	VPCMPEQD(f.of(runBack, 4), last, agree)
	VPADDD(last, last, sure) // the bit next to the highest
	VPAND(sure, agree, agree)
	VPOR(ends, agree, agree)
	VBLENDVPS(agree, last, word, now)
	VMOVDQU(now, f.of(runWords, 4))
	VPANDN(word, agree, word)
	number, open, lane := GP64(), GP32(), GP32()
	next, lanes := label("next"), label("lanes")
	MOVQ(f.trials, number)
	SUBQ(left, number)
	TESTQ(f.mask, number)
	JNZ(LabelRef(next))
	VMOVMSKPS(word, open)
	TESTL(open, open)
	JZ(LabelRef(next))
	VPSRAD(U8(31), word, word)
	VPOR(ends, word, word)
	VPACKSSDW(word, word, word)
	VPERMQ(U8(0xd8), word, word)
	VMOVDQU(word.AsX(), f.of(runEnds, 2))
	Label(lanes)
	TZCNTL(open, lane)
	ADDL(f.word.As32(), lane)
	MOVW(lane.As16(), Mem{Base: f.list})
	ADDQ(U8(2), f.list)
	BLSRL(open, open)
	JNZ(LabelRef(lanes))
	Label(next)
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
