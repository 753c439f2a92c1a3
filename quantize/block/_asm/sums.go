package main

import (
	"fmt"
	"math"
	"math/bits"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

func init() {
	generators["sums"] = func() {
		for _, s := range isas {
			s.sumSquares()
		}
	}
}

// everyF32 is a vector of the same floats in memory, which spares a register.
func (s isa) everyF32(f float32) Mem {
	words := make([]uint32, s.lanes)
	for i := range words {
		words[i] = math.Float32bits(f)
	}
	return table(fmt.Sprintf("every_%08x_%d", words[0], s.lanes), words...)
}

// local is aligned memory in the frame for n vectors. The kernel must not be NOSPLIT if it is large.
func (s isa) local(n int) func(i int) Mem {
	p := GP64()
	LEAQ(AllocLocal(n*s.bytes()+64), p)
	ADDQ(Imm(63), p)
	ANDQ(I8(-64), p)
	return func(i int) Mem { return at(p, i*s.bytes()) }
}

// sumSquares writes a kernel that adds, in order, the squares of runs of floats, one a lane.
func (s isa) sumSquares() {
	TEXT("sumSquares"+s.name, NOSPLIT, "func(sums, src *float32, length, groups int)")
	Pragma("noescape")
	Doc(fmt.Sprintf("sumSquares%s adds the squares of runs of a length that 4 divides, in groups of %d runs one behind the other.", s.name, s.lanes))
	sums, src, length, groups := GP64(), GP64(), GP64(), GP64()
	Load(Param("sums"), sums)
	Load(Param("src"), src)
	Load(Param("length"), length)
	Load(Param("groups"), groups)
	stride, stride3, n := GP64(), GP64(), GP64()
	MOVQ(length, stride)
	SHLQ(Imm(2), stride)
	LEAQ(Mem{Base: stride, Index: stride, Scale: 2}, stride3)
	bases := make([]reg.GPVirtual, s.lanes/4)
	Label("group")
	for i := range bases {
		bases[i] = GP64()
		if i == 0 {
			MOVQ(src, bases[0])
		} else {
			LEAQ(Mem{Base: bases[i-1], Index: stride, Scale: 4}, bases[i])
		}
	}
	sum := s.zero()
	MOVQ(length, n)
	Label("column")
	for _, v := range s.columns(func(r int) Mem {
		b := bases[r/4]
		return [4]Mem{{Base: b}, {Base: b, Index: stride, Scale: 1}, {Base: b, Index: stride, Scale: 2}, {Base: b, Index: stride3, Scale: 1}}[r%4]
	}) {
		VMULPS(v, v, v)
		VADDPS(v, sum, sum)
	}
	for _, b := range bases {
		ADDQ(Imm(16), b)
	}
	SUBQ(Imm(4), n)
	JNZ(LabelRef("column"))
	s.store(sum, Mem{Base: sums})
	ADDQ(U32(s.bytes()), sums)
	MOVQ(stride, n)
	SHLQ(Imm(uint64(bits.TrailingZeros(uint(s.lanes)))), n)
	ADDQ(n, src)
	DECQ(groups)
	JNZ(LabelRef("group"))
	VZEROUPPER()
	RET()
}
