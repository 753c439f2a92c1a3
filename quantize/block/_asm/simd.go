package main

import (
	"fmt"
	"math"

	"github.com/mmcloughlin/avo/attr"
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// simd is an instruction set: one generator writes the kernels of both, with vectors of their width.
type simd struct {
	suffix string // of the kernels' names
	lanes  int    // float32 in a vector
}

var (
	avx2   = simd{"AVX2", 8}
	avx512 = simd{"AVX512", 16}
)

// Predicates of VCMPPS. The negated ones hold for NaN.
const (
	cmpEQ  = 0x00
	cmpLT  = 0x11
	cmpLE  = 0x12
	cmpGT  = 0x1e
	cmpNEQ = 0x04
	cmpNGE = 0x19
	cmpNLE = 0x16
	cmpUNO = 0x03
)

// width is the vector's length in bytes.
func (s simd) width() int { return 4 * s.lanes }

// vec is a new vector register.
func (s simd) vec() reg.VecVirtual {
	if s.lanes == 16 {
		return ZMM()
	}
	return YMM()
}

// zero is a register of zeros.
func (s simd) zero() reg.VecVirtual {
	v := s.vec()
	VXORPS(v, v, v)
	return v
}

// load reads a vector.
func (s simd) load(m Op) reg.VecVirtual {
	v := s.vec()
	VMOVUPS(m, v)
	return v
}

// splat reads a float32 into all lanes.
func (s simd) splat(m Op) reg.VecVirtual {
	v := s.vec()
	VBROADCASTSS(m, v)
	return v
}

// constant puts f into all lanes.
func (s simd) constant(f float32) reg.VecVirtual { return s.splat(float(f)) }

// op applies an instruction of two sources: v = a OP b, where b may be in memory.
func (s simd) op(inst func(...Op), a reg.VecVirtual, b Op) reg.VecVirtual {
	v := s.vec()
	inst(b, a, v)
	return v
}

// round rounds to integers, half to even, in place. Unlike the addition of 1.5*2^23 it keeps -0.
func (s simd) round(v reg.VecVirtual) {
	if s.lanes == 16 {
		VRNDSCALEPS(U8(8), v, v)
	} else {
		VROUNDPS(U8(8), v, v)
	}
}

// cmp is the mask of lanes where a PREDICATE b: a mask register, or a vector with all bits of the lane.
func (s simd) cmp(predicate uint8, a reg.VecVirtual, b Op) reg.Register {
	if s.lanes == 16 {
		k := K()
		VCMPPS(U8(predicate), b, a, k)
		return k
	}
	v := YMM()
	VCMPPS(U8(predicate), b, a, v)
	return v
}

// or is the union of masks.
func (s simd) or(a, b reg.Register) reg.Register {
	if s.lanes == 16 {
		k := K()
		KORW(a, b, k)
		return k
	}
	v := YMM()
	VORPS(a, b, v)
	return v
}

// choose is yes where the mask is set, else no.
func (s simd) choose(mask reg.Register, yes Op, no reg.VecVirtual) reg.VecVirtual {
	v := s.vec()
	if s.lanes == 16 {
		VBLENDMPS(yes, no, mask, v)
	} else {
		VBLENDVPS(mask, yes, no, v)
	}
	return v
}

// storeWhere writes the lanes of v where the mask is set. AMD's masked stores of AVX2 are slow.
func (s simd) storeWhere(mask reg.Register, v reg.VecVirtual, m Op) {
	if s.lanes == 16 {
		VMOVUPS(v, mask, m)
	} else {
		VMOVUPS(s.choose(mask, v, s.load(m)), m)
	}
}

// bits are the mask's bits in a general register.
func (s simd) bits(mask reg.Register) reg.GPVirtual {
	r := GP32()
	if s.lanes == 16 {
		KMOVW(mask, r)
	} else {
		VMOVMSKPS(mask, r)
	}
	return r
}

// ifNone jumps where no lane of the mask is set.
func (s simd) ifNone(mask reg.Register, label string) {
	if s.lanes == 16 {
		KORTESTW(mask, mask)
	} else {
		r := s.bits(mask)
		TESTL(r, r)
	}
	JZ(LabelRef(label))
}

// orBits adds the mask's bits to those in memory: 16 of them, or 8.
func (s simd) orBits(mask reg.Register, m Op) {
	r := s.bits(mask)
	if s.lanes == 16 {
		ORW(r.As16(), m)
	} else {
		ORB(r.As8(), m)
	}
}

// shared are constants in read-only memory, by name.
var shared = map[string]Mem{}

// words are 32-bit constants in read-only memory.
func words(name string, bits ...uint32) Mem {
	m, ok := shared[name]
	if !ok {
		m = GLOBL(name, attr.RODATA|attr.NOPTR)
		for i, b := range bits {
			DATA(4*i, U32(b))
		}
		shared[name] = m
	}
	return m
}

// word is a 32-bit constant in read-only memory.
func word(bits uint32) Mem { return words(fmt.Sprintf("word%08x", bits), bits) }

// float is a float32 constant in read-only memory.
func float(f float32) Mem { return word(math.Float32bits(f)) }

// label makes names of jump targets: unique in a function by a counter.
var labels int

func label(name string) string {
	labels++
	return fmt.Sprintf("%s%d", name, labels)
}
