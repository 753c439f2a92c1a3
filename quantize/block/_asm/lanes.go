package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Predicates of VCMPPS that hold for NaN.
const (
	cmpNGE       = 0x19
	cmpNGT       = 0x1a
	cmpNLE       = 0x16
	cmpUnordered = 0x03
	cmpUnequal   = 0x04
)

// zero is a vector of zeros.
func (s isa) zero() reg.VecVirtual {
	v := s.vec()
	VXORPS(v, v, v)
	return v
}

// op applies an instruction of two sources: a OP b.
func (s isa) op(inst func(...Op), a reg.VecVirtual, b Op) reg.VecVirtual {
	v := s.vec()
	inst(b, a, v)
	return v
}

func (s isa) add(a reg.VecVirtual, b Op) reg.VecVirtual { return s.op(VADDPS, a, b) }
func (s isa) sub(a reg.VecVirtual, b Op) reg.VecVirtual { return s.op(VSUBPS, a, b) }
func (s isa) mul(a reg.VecVirtual, b Op) reg.VecVirtual { return s.op(VMULPS, a, b) }
func (s isa) div(a reg.VecVirtual, b Op) reg.VecVirtual { return s.op(VDIVPS, a, b) }

// round rounds to integers, half to even, in place. Unlike the addition of 1.5*2^23 it keeps -0.
func (s isa) round(v reg.VecVirtual) {
	if s.wide() {
		VRNDSCALEPS(U8(8), v, v)
	} else {
		VROUNDPS(U8(8), v, v)
	}
}

// notFinite is the mask of lanes with NaN or Inf.
func (s isa) notFinite(v reg.VecVirtual) mask {
	d := s.sub(v, v)
	return s.compare(cmpUnordered, d, d)
}

// either is the mask of lanes in a or b.
func (s isa) either(a, b mask) mask {
	if s.wide() {
		m := mask{K()}
		KORW(b, a, m)
		return m
	}
	return mask{s.or(a, b)}
}

// storeWhere writes the lanes of v in the mask. AMD's masked stores of AVX2 are slow.
func (s isa) storeWhere(m mask, v reg.VecVirtual, to Mem) {
	if s.wide() {
		VMOVUPS(v, m, to)
	} else {
		VMOVUPS(s.choose(m, v, s.load(to)), to)
	}
}

// jumpNone jumps if the mask has no lanes.
func (s isa) jumpNone(m mask, label string) {
	if s.wide() {
		KORTESTW(m, m)
	} else {
		r := s.bits(m)
		TESTL(r, r)
	}
	JZ(LabelRef(label))
}

// orBits adds the mask's bits to those in memory: 16 of them, or 8.
func (s isa) orBits(m mask, to Mem) {
	r := s.bits(m)
	if s.wide() {
		ORW(r.As16(), to)
	} else {
		ORB(r.As8(), to)
	}
}

var labels int

// label is a new name for a jump target.
func label(name string) string {
	labels++
	return fmt.Sprintf("%s%d", name, labels)
}
