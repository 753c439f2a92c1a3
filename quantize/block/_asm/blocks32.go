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
func (s isa) encode32(name string, size int, body func(dst, src reg.GPVirtual)) {
	s.encoder(name, s.lanes*size, s.lanes*32, func() {}, body)
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
	s.encode32("Q8_0", size, func(dst, src reg.GPVirtual) {
		halves, ids := AllocLocal(2*s.lanes), AllocLocal(4*s.lanes)
		d := s.reduce(func(i int) reg.VecVirtual { return s.fold(at(src, i*blockBytes), 32, s.maxAbs) }, s.max)
		VDIVPS(s.eachF32(127), d, d)
		s.storeHalves(d, halves)
		s.store(s.inverse(d), ids)
		sign, half := s.each32(signBit), s.eachF32(math.Nextafter32(0.5, 0))
		for i := range s.lanes {
			copy16(halves.Offset(2*i), at(dst, i*size))
			id := s.broadcast(ids.Offset(4 * i))
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

// bytes32 is a YMM of the low bytes of 32 doublewords, which as signed numbers fit.
func (s isa) bytes32(q []reg.VecVirtual) reg.VecVirtual { return s.packed32(q, VPACKSSDW, VPACKSSWB) }

// packed32 is bytes32 with AVX2's instructions to choose, which differ in what numbers fit.
func (s isa) packed32(q []reg.VecVirtual, toWords, toBytes func(...Op)) reg.VecVirtual {
	if s.wide() {
		VPERMT2B(q[1], s.load(lowBytes()), q[0])
		return q[0].AsY().(reg.VecVirtual)
	}
	toWords(q[1], q[0], q[0])
	toWords(q[3], q[2], q[2])
	toBytes(q[2], q[0], q[0])
	VPERMD(q[0], s.load(table("quads", 0, 4, 1, 5, 2, 6, 3, 7)), q[0])
	return q[0]
}

// lowBytes are the indices of the low bytes of the 32 doublewords of two vectors.
func lowBytes() Mem {
	w := make([]uint32, 16)
	for i := range uint32(8) {
		w[i] = 0x0c080400 + 0x10101010*i
	}
	return table("lowBytes", w...)
}

// encodeQ0 maps the weight of largest magnitude to -n; quants have n added.
func (s isa) encodeQ0(name string, size, n int) {
	s.encode32(name, size, func(dst, src reg.GPVirtual) {
		halves, ids := AllocLocal(2*s.lanes), AllocLocal(4*s.lanes)
		d := s.extremes(src)
		VMULPS(s.eachF32(-1/float32(n)), d, d)
		s.storeHalves(d, halves)
		s.store(s.inverse(d), ids)
		offset, top := s.eachF32(float32(n)+0.5), s.each32(uint32(2*n-1))
		for i := range s.lanes {
			copy16(halves.Offset(2*i), at(dst, i*size))
			id := s.broadcast(ids.Offset(4 * i))
			s.quants32(at(dst, i*size+2), n > 8, top, func(j int) reg.VecVirtual {
				x := s.vec()
				VMULPS(at(src, i*blockBytes+4*j), id, x)
				VADDPS(offset, x, x)
				return x
			})
		}
	})
}

// quants32 cuts off the fractions of 32 floats, bounds the integers by top, and packs them as pack32 and pack32High do.
func (s isa) quants32(dst Mem, high bool, top reg.VecVirtual, value func(j int) reg.VecVirtual) {
	var q []reg.VecVirtual
	for j := 0; j < 32; j += s.lanes {
		x := value(j)
		VCVTTPS2DQ(x, x)
		VPMINSD(top, x, x)
		q = append(q, x)
	}
	if high {
		s.fifthBits(q, dst)
		dst = dst.Offset(4)
		if s.wide() {
			q[0] = s.and(q[0], s.each32(15))
		} else {
			q[0], q[1] = s.and(q[0], s.each32(15)), s.and(q[1], s.each32(15))
		}
	}
	n := len(q) / 2
	for i := range n {
		VPSLLD(Imm(4), q[n+i], q[n+i])
		q[i] = s.or(q[i], q[n+i])
	}
	s.bytes16(q[:n], dst)
}

// fifthBits stores the bits of value 16 of 32 doublewords.
func (s isa) fifthBits(q []reg.VecVirtual, dst Mem) {
	all := GP32()
	for i, v := range q {
		r := GP32()
		if s.wide() {
			k := K()
			VPTESTMD(s.each32(16), v, k)
			KMOVW(k, r)
		} else {
			t := s.vec()
			VPSLLD(Imm(27), v, t)
			VMOVMSKPS(t, r)
		}
		if i == 0 {
			all = r
			continue
		}
		SHLL(Imm(uint64(i*s.lanes)), r)
		ORL(r, all)
	}
	MOVL(all, dst)
}

// bytes16 stores the low bytes of 16 doublewords.
func (s isa) bytes16(q []reg.VecVirtual, dst Mem) {
	x := XMM()
	if s.wide() {
		VPMOVDB(q[0], x)
	} else {
		VPSHUFB(s.load(lowBytesAVX2()), q[0], q[0])
		VPSHUFB(s.load(lowBytesAVX2()), q[1], q[1])
		VPUNPCKLDQ(q[1], q[0], q[0])
		VPERMQ(Imm(0xd8), q[0], q[0])
		VPSHUFD(Imm(0xd8), q[0].AsX(), x)
	}
	VMOVDQU(x, dst)
}

// lowBytesAVX2 gathers the low bytes of the doublewords of each half in its first doubleword.
func lowBytesAVX2() Mem {
	const none = 0x80808080
	return table("lowBytesAVX2", 0x0c080400, none, none, none, 0x0c080400, none, none, none)
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
	s.encode32(name, size, func(dst, src reg.GPVirtual) {
		halves, ids, mins := AllocLocal(4*s.lanes), AllocLocal(4*s.lanes), AllocLocal(4*s.lanes)
		lo := s.reduce(func(i int) reg.VecVirtual { return s.fold(at(src, i*blockBytes), 32, s.min) }, s.min)
		s.noMinusZero(lo, src)
		d := s.reduce(func(i int) reg.VecVirtual { return s.fold(at(src, i*blockBytes), 32, s.max) }, s.max)
		VSUBPS(lo, d, d)
		VDIVPS(s.eachF32(float32(n)), d, d)
		s.storeHalves(d, halves)
		s.storeHalves(lo, halves.Offset(2*s.lanes))
		s.store(lo, mins)
		s.store(s.inverse(d), ids)
		half, top := s.eachF32(0.5), s.each32(uint32(n))
		for i := range s.lanes {
			copy16(halves.Offset(2*i), at(dst, i*size))
			copy16(halves.Offset(2*(i+s.lanes)), at(dst, i*size+2))
			id, lo := s.broadcast(ids.Offset(4*i)), s.broadcast(mins.Offset(4*i))
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
