package main

import (
	"fmt"
	"math/bits"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// search is the search of a batch of words, of as many as there are lanes: first the errors of all, then what is least.
type search struct {
	runs
	shifted bool

	p, near, levelTable reg.GPVirtual
	wordTable           reg.GPVirtual  // of the first three digits
	levels              reg.VecVirtual // values of digits
	none, lanesOf       reg.VecVirtual // a large error, the numbers of the lanes

	tables []reg.VecVirtual // errors by digit, of as many digits as fit into a vector by fours
	threes []reg.VecVirtual // errors of three digits, see errors16

	tied, from, where   reg.GPVirtual // see ties
	tieLabel, backLabel string
}

// errorsOf computes the errors of the neighbours of the word in a slot of the list, lane by lane the least and the second
// least of all vectors.
func (s *search) errorsOf(list, slot, to reg.GPVirtual) {
	index, entry, group, scale := GP32(), GP32(), GP32(), GP32()
	MOVWLZX(Mem{Base: list, Index: slot, Scale: 2}, index)
	MOVL(Mem{Base: s.p, Index: index.As64(), Scale: 4, Disp: runWords}, entry)
	MOVL(index, group)
	ANDL(U8(16*s.k()-1), group)
	MOVL(index, scale)
	SHRL(U8(s.groupBits()), scale)
	levels := s.levels
	if s.shifted {
		levels = s.shiftedLevels(s.p, group, s.levelTable)
	}
	s.terms(scale, group, levels)
	place := GP64()
	MOVL(entry, place.As32())
	ANDL(U32(1<<wordPlace-1), place.As32())
	LEAQ(Mem{Base: s.near, Index: place, Scale: 4}, place)
	many, done, after := label("many"), label("done"), label("after")
	best, second, where := s.vec(), s.vec(), s.vec()
	VMOVAPS(s.none, second)
	VMOVAPS(s.lanesOf, where)
	SHRL(U8(wordPlace), entry)
	CMPL(entry, U8(1<<wordCount|1))
	JNE(LabelRef(many))
	VMOVAPS(s.errors(place), best)
	Label(done)
	s.store(best, at(to, runBest))
	s.store(where, at(to, runWhere))
	if !s.shifted {
		s.store(second, at(to, runSecond))
	}
	JMP(LabelRef(after))
	Label(many)
	SUBL(U8(1<<wordCount), entry)
	s.many(place, entry, best, second, where)
	JMP(LabelRef(done))
	Label(after)
}

// terms computes the errors of a group by digit.
func (s *search) terms(scale, group reg.GPVirtual, levels reg.VecVirtual) {
	scaled := s.mul(levels, s.broadcast(Mem{Base: s.p, Index: scale.As64(), Scale: 4, Disp: runScales}))
	SHLL(U8(bits.Len(spreadBytes)-1), group)
	s.tables = nil
	for j := 0; j < 128; j += s.bytes() {
		diff := s.sub(scaled, Mem{Base: s.p, Index: group.As64(), Scale: 1, Disp: runSpread + j})
		t := s.mul(diff, Mem{Base: s.p, Index: group.As64(), Scale: 1, Disp: runSpread + 128 + j})
		VMULPS(diff, t, t)
		s.tables = append(s.tables, t)
	}
	if s.wide() {
		s.sumThrees()
	}
}

// errors are those of a vector of points.
func (s *search) errors(place reg.GPVirtual) reg.VecVirtual {
	if s.wide() {
		return s.errors16(place)
	}
	words := s.load(at(place, 0))
	var sum reg.VecVirtual
	for half := range 2 {
		for i := range 4 {
			sum = s.term(sum, s.tables[2*half+i/2], s.shifted16(words, 4*i))
		}
		words = s.upper(words)
	}
	return sum
}

// Digits come to the lowest bits by multiplications, since shuffles keep the units of shifts busy.

// shifted16 shifts the lower halves of lanes.
func (s *search) shifted16(words reg.VecVirtual, shift int) reg.VecVirtual {
	if shift == 0 {
		return words
	}
	v := s.vec()
	VPMULHUW(s.everyWord(1<<(16-shift)), words, v)
	return v
}

// upper moves the upper halves of lanes to the lower ones.
func (s *search) upper(words reg.VecVirtual) reg.VecVirtual {
	v := s.vec()
	VPMADDWD(s.everyWord(1<<16), words, v)
	return v
}

// everyWord is a vector in memory of the same words.
func (s isa) everyWord(word uint32) Mem {
	words := make([]uint32, s.lanes)
	for i := range words {
		words[i] = word
	}
	return table(fmt.Sprintf("every%s_%x", s.name, word), words...)
}

// term adds a digit's error to a sum, which may be nil.
func (s *search) term(sum, table, index reg.VecVirtual) reg.VecVirtual {
	t := s.vec()
	VPERMPS(table, index, t)
	if sum == nil {
		return t
	}
	VADDPS(t, sum, sum)
	return sum
}

// errors16 takes the sum over the first three digits, in the lowest five bits, from a table of 27.
func (s *search) errors16(place reg.GPVirtual) reg.VecVirtual {
	words, sum := s.load(at(place, 0)), s.vec()
	VMOVAPS(words, sum)
	VPERMI2PS(s.threes[1], s.threes[0], sum)
	upper := s.upper(words)
	sum = s.term(sum, s.tables[0], s.shifted16(words, 8))
	sum = s.term(sum, s.tables[1], s.shifted16(words, 12))
	for i := range 3 {
		sum = s.term(sum, s.tables[1], s.shifted16(upper, 4*i))
	}
	return sum
}

// sumThrees makes the table of the sums of the errors of the first three digits.
func (s *search) sumThrees() {
	s.threes = nil
	for half := range 2 {
		var sum reg.VecVirtual
		weight := 1
		for digit := range 3 {
			words := make([]uint32, 16)
			for lane := range words {
				number := 16*half + lane
				words[lane] = uint32(4*digit + number/weight%3)
				if number >= 27 {
					words[lane] = uint32(4*digit + 3) // no digit
				}
			}
			sum = s.term(sum, s.tables[0], s.load(table(fmt.Sprintf("threes%d%d", half, digit), words...)))
			weight *= 3
		}
		s.threes = append(s.threes, sum)
	}
}

// word loads a neighbour's word.
func (s *search) word(from Mem, w reg.GPVirtual) {
	if !s.wide() {
		MOVL(from, w)
		return
	}
	three := GP32()
	MOVBLZX(from, three)
	MOVL(from, w)
	SHRL(U8(8), w)
	SHLL(U8(12), w)
	ORL(Mem{Base: s.wordTable, Index: three.As64(), Scale: 4}, w)
}

// threeWords has the words of three digits by number.
func threeWords() Mem {
	words := make([]uint32, 27)
	for n := range words {
		words[n] = uint32(n%3 | (n/3%3|4)<<4 | (n/9|8)<<8)
	}
	return table("threeWords", words...)
}

// many searches several vectors.
func (s *search) many(place, count reg.GPVirtual, best, second, where reg.VecVirtual) {
	now, step := s.vec(), s.each32(uint32(s.lanes))
	VMOVAPS(where, now)
	VMOVAPS(s.errors(place), best)
	more := label("more")
	Label(more)
	ADDQ(U8(s.bytes()), place)
	e := s.errors(place)
	VPADDD(step, now, now)
	s.update(s.compare(cmpLT, e, best), now, where)
	if !s.shifted {
		VMINPS(second, s.max(e, best), second)
	}
	VMINPS(best, e, best)
	DECL(count)
	CMPL(count, U8(1))
	JNE(LabelRef(more))
}

// reduceAll finds the least errors of the first n slots.
func (s *search) reduceAll(n reg.GPVirtual) {
	from, to, left := GP64(), GP64(), GP64()
	MOVQ(s.p, from)
	MOVQ(s.p, to)
	MOVQ(n, left)
	l := label("reduce")
	Label(l)
	s.store(s.reduce(func(i int) reg.VecVirtual { return s.load(at(from, runBest+i*s.bytes())) }, s.min), at(to, runLeast))
	ADDQ(U32(s.lanes*s.bytes()), from)
	ADDQ(U8(4*s.lanes), to)
	SUBQ(U8(s.lanes), left)
	JG(LabelRef(l))
}

// result stores the word of the neighbour with the least error of a slot.
func (s *search) result(list, slot, from reg.GPVirtual) {
	s.from, s.tied, s.where = from, GP32(), GP32()
	best := s.load(at(from, runBest))
	least := s.broadcast(Mem{Base: s.p, Index: slot, Scale: 4, Disp: runLeast})
	MOVL(s.bits(s.compare(cmpEQ, best, least)), s.tied)
	index, lane, w := GP32(), GP32(), GP32()
	MOVWLZX(Mem{Base: list, Index: slot, Scale: 2}, index)
	TZCNTL(s.tied, lane)
	MOVL(Mem{Base: from, Index: lane.As64(), Scale: 4, Disp: runWhere}, s.where)
	s.tieLabel, s.backLabel = label("tie"), label("back")
	BLSRL(s.tied, s.tied)
	JNZ(LabelRef(s.tieLabel))
	Label(s.backLabel)
	entry := Mem{Base: s.p, Index: index.As64(), Scale: 4, Disp: runWords}
	MOVL(entry, w)
	ANDL(U32(1<<wordPlace-1), w)
	ADDL(w, s.where)
	s.word(Mem{Base: s.near, Index: s.where.As64(), Scale: 4}, w)
	if !s.shifted {
		scale := GP32()
		MOVL(index, scale)
		SHRL(U8(s.groupBits()), scale)
		limit := s.add(least, s.broadcast(Mem{Base: s.p, Index: scale.As64(), Scale: 4, Disp: runSlacks}))
		near, others := s.bits(s.compare(cmpNGT, best, limit)), GP32()
		MOVL(s.bits(s.compare(cmpNGT, s.load(at(from, runSecond)), limit)), others)
		// As one number with one bit if the best one is alone; then all ones are kept, otherwise not the one that says so.
		SHLL(U8(16), others)
		ORL(near, others)
		BLSRL(others, others)
		NEGL(others)
		SBBL(others, others)
		ANDL(U32(1<<30), others)
		NOTL(others)
		ANDL(others, w)
	}
	MOVL(w, entry)
}

// ties finds the first one of several places.
func (s *search) ties() {
	Label(s.tieLabel)
	lane, where := GP32(), GP32()
	TZCNTL(s.tied, lane)
	MOVL(Mem{Base: s.from, Index: lane.As64(), Scale: 4, Disp: runWhere}, where)
	CMPL(where, s.where)
	CMOVLLT(where, s.where)
	BLSRL(s.tied, s.tied)
	JNZ(LabelRef(s.tieLabel))
	JMP(LabelRef(s.backLabel))
}
