package main

import (
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

func init() {
	generators["blocks32"] = func() {
		for _, s := range isas {
			s.encodeQ8_0()
			s.encodeQ0("Q4_0", 18, 8)
			s.encodeQ0("Q5_0", 22, 16)
			s.encodeQ1("Q4_1", 20, 15)
			s.encodeQ1("Q5_1", 24, 31)
		}
	}
}

// blockBytes is the size of 32 floats.
const blockBytes = 4 * 32

const (
	f16Limit = 65520 // what rounds to an infinite half
	signBit  = 0x80000000
)

// encode32 writes an encoder of blocks of 32, as many at a time as there are lanes.
func (s isa) encode32(name string, size int, scan func(src, slot reg.GPVirtual), quantize func(dst, src, slot reg.GPVirtual)) {
	s.encodeAhead(name, s.lanes*size, s.lanes*32, scan, quantize)
}

// inverse is 1/d, 0 for 0. It jumps to "end" where that overflows.
func (s isa) inverse(d reg.VecVirtual) reg.VecVirtual {
	v := s.vec()
	VDIVPS(d, s.eachF32(1), v)
	v = s.only(s.compare(cmpNEQ, d, s.eachF32(0)), v)
	s.jumpIf(cmpGT, s.abs(v), s.eachF32(math.MaxFloat32), "end")
	return v
}

// storeHalves rounds floats to halves in memory; it jumps to "end" where one would be infinite.
func (s isa) storeHalves(v reg.VecVirtual, m Mem) {
	s.jumpIf(cmpGE, s.abs(v), s.eachF32(f16Limit), "end")
	VCVTPS2PH(Imm(0), v, m)
}

// copy16 copies two bytes.
func copy16(from, to Mem) {
	r := GP32()
	MOVWLZX(from, r)
	MOVW(r.As16(), to)
}

// encodeQ8_0 scales the largest magnitude to 127.
func (s isa) encodeQ8_0() {
	const size = 2 + 32
	s.encode32("Q8_0", size, func(src, slot reg.GPVirtual) {
		d := s.reduce(func(i int) reg.VecVirtual { return s.fold(at(src, i*blockBytes), 32, s.maxAbs) }, s.max)
		VDIVPS(s.eachF32(127), d, d)
		s.storeHalves(d, at(slot, slotHalves))
		s.store(s.inverse(d), at(slot, slotInv))
	}, func(dst, src, slot reg.GPVirtual) {
		sign, half := s.each32(signBit), s.eachF32(math.Nextafter32(0.5, 0))
		for i := range s.lanes {
			copy16(at(slot, slotHalves+2*i), at(dst, i*size))
			id := s.broadcast(at(slot, slotInv+4*i))
			var q []reg.VecVirtual
			for j := 0; j < 32; j += s.lanes {
				x := s.vec()
				VMULPS(at(src, i*blockBytes+4*j), id, x)
				q = append(q, s.roundAway(x, sign, half))
			}
			VMOVDQU(s.bytes32(q), at(dst, i*size+2))
		}
	})
}

// roundAway rounds half away from zero to int32, for magnitudes below 2^22: see roundSmall. half is the float below 0.5.
func (s isa) roundAway(x, sign, half reg.VecVirtual) reg.VecVirtual {
	h := s.or(s.and(x, sign), half)
	VADDPS(h, x, x)
	VCVTTPS2DQ(x, x)
	return x
}

// encodeQ0 maps the weight of largest magnitude to -n; quants have n added.
func (s isa) encodeQ0(name string, size, n int) {
	s.encode32(name, size, func(src, slot reg.GPVirtual) {
		d := s.extremes(src)
		VMULPS(s.eachF32(-1/float32(n)), d, d)
		s.storeHalves(d, at(slot, slotHalves))
		s.store(s.inverse(d), at(slot, slotInv))
	}, func(dst, src, slot reg.GPVirtual) {
		offset, top := s.eachF32(float32(n)+0.5), s.each32(uint32(2*n-1))
		for i := range s.lanes {
			copy16(at(slot, slotHalves+2*i), at(dst, i*size))
			id := s.broadcast(at(slot, slotInv+4*i))
			s.quants32(at(dst, i*size+2), n > 8, top, func(j int) reg.VecVirtual {
				x := s.vec()
				VMULPS(at(src, i*blockBytes+4*j), id, x)
				VADDPS(offset, x, x)
				return x
			})
		}
	})
}

// extremes are the first weights of largest magnitude of the blocks at src, +0 for zeros.
func (s isa) extremes(src reg.GPVirtual) reg.VecVirtual {
	hi := s.reduce(func(i int) reg.VecVirtual { return s.fold(at(src, i*blockBytes), 32, s.max) }, s.max)
	lo := s.reduce(func(i int) reg.VecVirtual { return s.fold(at(src, i*blockBytes), 32, s.min) }, s.min)
	minus := s.xor(lo, s.each32(signBit))
	top := s.choose(s.compare(cmpGE, hi, minus), hi, lo)
	some := s.compare(cmpNEQ, top, s.eachF32(0))
	top = s.only(some, top)
	tied := s.bits(s.both(some, s.compare(cmpEQ, hi, minus)))
	tops := AllocLocal(4 * s.lanes)
	s.store(top, tops)
	JMP(LabelRef("ties"))
	Label("tie") // both signs have the magnitude: which comes first?
	i, block := GP32(), GP64()
	TZCNTL(tied, i)
	MOVL(i, block.As32())
	SHLQ(Imm(7), block)
	ADDQ(src, block)
	x := s.broadcast(tops.Idx(i.As64(), 4))
	plus, minusAt := s.firstOf(block, x), s.firstOf(block, s.xor(x, s.each32(signBit)))
	CMPL(plus, minusAt)
	JLT(LabelRef("first"))
	XORL(U32(signBit), tops.Idx(i.As64(), 4))
	Label("first")
	LEAL(Mem{Base: tied, Disp: -1}, i)
	ANDL(i, tied)
	Label("ties")
	TESTL(tied, tied)
	JNE(LabelRef("tie"))
	return s.load(tops)
}

// firstOf is the place of the first of the 32 floats at block that equals x.
func (s isa) firstOf(block reg.GPVirtual, x reg.VecVirtual) reg.GPVirtual {
	all := GP32()
	XORL(all, all)
	for j := 32 - s.lanes; j >= 0; j -= s.lanes {
		r := s.bits(s.compare(cmpEQ, x, at(block, 4*j)))
		SHLL(Imm(uint64(s.lanes)), all)
		ORL(r, all)
	}
	TZCNTL(all, all)
	return all
}

// encodeQ1 maps the least weight to 0 and the greatest to n.
func (s isa) encodeQ1(name string, size, n int) {
	s.encode32(name, size, func(src, slot reg.GPVirtual) {
		lo := s.reduce(func(i int) reg.VecVirtual { return s.fold(at(src, i*blockBytes), 32, s.min) }, s.min)
		s.noMinusZero(lo, src)
		d := s.reduce(func(i int) reg.VecVirtual { return s.fold(at(src, i*blockBytes), 32, s.max) }, s.max)
		VSUBPS(lo, d, d)
		VDIVPS(s.eachF32(float32(n)), d, d)
		s.storeHalves(d, at(slot, slotHalves))
		s.storeHalves(lo, at(slot, slotMins))
		s.store(lo, at(slot, slotLow))
		s.store(s.inverse(d), at(slot, slotInv))
	}, func(dst, src, slot reg.GPVirtual) {
		half, top := s.eachF32(0.5), s.each32(uint32(n))
		for i := range s.lanes {
			copy16(at(slot, slotHalves+2*i), at(dst, i*size))
			copy16(at(slot, slotMins+2*i), at(dst, i*size+2))
			id, lo := s.broadcast(at(slot, slotInv+4*i)), s.broadcast(at(slot, slotLow+4*i))
			s.quants32(at(dst, i*size+4), n > 15, top, func(j int) reg.VecVirtual {
				x := s.load(at(src, i*blockBytes+4*j))
				VSUBPS(lo, x, x)
				VMULPS(id, x, x)
				VADDPS(half, x, x)
				return x
			})
		}
	})
}

// noMinusZero jumps to "end" where a block's least weight is zero and there is a negative zero, since the first one's sign
// would count.
func (s isa) noMinusZero(lo reg.VecVirtual, src reg.GPVirtual) {
	zeros := s.bits(s.compare(cmpEQ, lo, s.eachF32(0)))
	TESTL(zeros, zeros)
	JEQ(LabelRef("positive"))
	p, left := GP64(), GP32()
	MOVQ(src, p)
	MOVL(U32(uint32(s.lanes)), left)
	Label("zeros")
	for j := 0; j < 32; j += s.lanes {
		if s.wide() {
			k := K()
			VPCMPEQD(at(p, 4*j), s.each32(signBit), k)
			s.jumpAny(mask{k}, "end")
		} else {
			m := s.vec()
			VPCMPEQD(at(p, 4*j), s.each32(signBit), m)
			s.jumpAny(mask{m}, "end")
		}
	}
	ADDQ(Imm(blockBytes), p)
	DECL(left)
	JNE(LabelRef("zeros"))
	Label("positive")
}
