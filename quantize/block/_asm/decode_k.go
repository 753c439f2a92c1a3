package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

func init() {
	generators["decode_k"] = func() {
		for _, s := range isas {
			s.decodeQ2_K()
			s.decodeQ3_K()
			s.decodeQ4_K()
			s.decodeQ5_K()
			s.decodeQ6_K()
		}
	}
}

func (s isa) decodeQ2_K() {
	const d = 16 + 64
	s.decode256("Q2_K", d+4, func(dst, src reg.GPVirtual) {
		scales, mins := AllocLocal(64), AllocLocal(64)
		sub, low := XMM(), XMM()
		VMOVDQU(at(src, 0), sub)
		VPAND(s.each32(0x0f0f0f0f).AsX(), sub, low)
		VPSRLD(Imm(4), sub, sub)
		VPAND(s.each32(0x0f0f0f0f).AsX(), sub, sub)
		zeroExtend := func(from, to Op) { VPMOVZXBD(from, to) }
		s.storeScales(zeroExtend, low, s.half(at(src, d)), 0, scales)
		s.storeScales(zeroExtend, sub, s.half(at(src, d+2)), 0, mins)
		for run := range 4 { // of 16 bytes, which hold four groups each
			for j := 0; j < 16; j += s.lanes {
				q := s.bytesAt(at(src, 16+16*run+j))
				for k := range 4 {
					g := run/2*8 + run%2 + 2*k
					t := s.small(2, 0, func(n reg.VecVirtual) {
						VMULPS(s.broadcast(scales.Offset(4*g)), n, n)
						VSUBPS(s.broadcast(mins.Offset(4*g)), n, n)
					})
					s.store(s.permute(t, s.shifted(q, 2*k)), at(dst, 4*(16*g+j)))
				}
			}
		}
	})
}

func (s isa) decodeQ3_K() {
	const low, sub, d = 32, 32 + 64, 32 + 64 + 12
	s.decode256("Q3_K", d+2, func(dst, src reg.GPVirtual) {
		scales := AllocLocal(64)
		s.storeScales(func(from, to Op) { VPMOVZXBD(from, to) }, scalesQ3_K(at(src, sub)), s.half(at(src, d)), 32, scales)
		for run := range 4 {
			for j := 0; j < 16; j += s.lanes {
				q, high := s.bytesAt(at(src, low+16*run+j)), s.bytesAt(at(src, 16*(run%2)+j))
				for k := range 4 {
					g := run/2*8 + run%2 + 2*k
					t := s.small(3, 4, func(n reg.VecVirtual) { VMULPS(s.broadcast(scales.Offset(4*g)), n, n) })
					s.store(s.permute(t, s.replace(s.shifted(q, 2*k), s.shifted(high, g/2-2), 4)), at(dst, 4*(16*g+j)))
				}
			}
		}
	})
}

// scalesQ3_K unpacks the 16 scales of six bits in 12 bytes.
func scalesQ3_K(m Mem) reg.VecVirtual {
	a, b, c := GP32(), GP32(), GP32()
	MOVL(m, a)
	MOVL(m.Offset(4), b)
	MOVL(m.Offset(8), c)
	x := XMM()
	quarter := func(low reg.GPVirtual, lowShift, highShift int) reg.GPVirtual {
		l, h := GP32(), GP32()
		MOVL(low, l)
		if lowShift > 0 {
			SHRL(Imm(uint64(lowShift)), l)
		}
		ANDL(U32(0x0f0f0f0f), l)
		MOVL(c, h)
		if highShift > 0 {
			SHLL(Imm(uint64(highShift)), h)
		} else if highShift < 0 {
			SHRL(Imm(uint64(-highShift)), h)
		}
		ANDL(U32(0x30303030), h)
		ORL(h, l)
		return l
	}
	VMOVD(quarter(a, 0, 4), x)
	VPINSRD(Imm(1), quarter(b, 0, 2), x, x)
	VPINSRD(Imm(2), quarter(a, 4, 0), x, x)
	VPINSRD(Imm(3), quarter(b, 4, -2), x, x)
	return x
}

// headScales unpacks the head of Q4_K and Q5_K (see superSearch) and stores the eight groups' scales, then their mins.
func (s isa) headScales(src reg.GPVirtual, m Mem) {
	a, b, c := GP32(), GP32(), GP32()
	MOVL(at(src, 4), a)
	MOVL(at(src, 8), b)
	MOVL(at(src, 12), c)
	x := XMM()
	first := func(v reg.GPVirtual) reg.GPVirtual {
		r := GP32()
		MOVL(v, r)
		ANDL(U32(0x3f3f3f3f), r)
		return r
	}
	second := func(v reg.GPVirtual, shift uint64) reg.GPVirtual {
		l := GP32()
		MOVL(c, l)
		if shift > 0 {
			SHRL(Imm(shift), l)
		}
		ANDL(U32(0x0f0f0f0f), l)
		SHRL(Imm(2), v)
		ANDL(U32(0x30303030), v)
		ORL(v, l)
		return l
	}
	VMOVD(first(a), x)
	VPINSRD(Imm(1), second(a, 0), x, x)
	VPINSRD(Imm(2), first(b), x, x)
	VPINSRD(Imm(3), second(b, 4), x, x)
	v := s.vec()
	if s.wide() {
		d := s.vec()
		VPBROADCASTD(at(src, 0), d.AsY())
		VCVTPH2PS(d.AsY(), d)
		VPERMPS(d, s.load(table("zerosAndOnes", 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1)), d)
		VPMOVZXBD(x, v)
		VCVTDQ2PS(v, v)
		s.store(s.mul(v, d), m)
		return
	}
	for i := range 2 {
		VPMOVZXBD(x, v)
		VCVTDQ2PS(v, v)
		s.store(s.mul(v, s.half(at(src, 2*i))), m.Offset(32*i))
		VPSRLDQ(Imm(8), x, x)
	}
}

func (s isa) decodeQ4_K() {
	const head = 16
	s.decode256("Q4_K", head+128, func(dst, src reg.GPVirtual) {
		scales := AllocLocal(64)
		s.headScales(src, scales)
		for pair := range 4 {
			value := [2]func(reg.VecVirtual) reg.VecVirtual{}
			for i := range value {
				d, m := s.broadcast(scales.Offset(4*(2*pair+i))), s.broadcast(scales.Offset(4*(8+2*pair+i)))
				value[i] = s.lookUp(0, func(n reg.VecVirtual) { VMULPS(d, n, n); VSUBPS(m, n, n) })
			}
			for j := 0; j < 32; j += s.lanes {
				q := s.bytesAt(at(src, head+32*pair+j))
				s.store(value[0](q), at(dst, 4*(64*pair+j)))
				s.store(value[1](s.shifted(q, 4)), at(dst, 4*(64*pair+32+j)))
			}
		}
	})
}

func (s isa) decodeQ5_K() {
	const head, low = 16, 16 + 32
	s.decode256("Q5_K", low+128, func(dst, src reg.GPVirtual) {
		scales := AllocLocal(64)
		s.headScales(src, scales)
		for g := range 8 {
			d, m := s.broadcast(scales.Offset(4*g)), s.broadcast(scales.Offset(4*(8+g)))
			value := func(n reg.VecVirtual) reg.VecVirtual {
				VMULPS(d, n, n)
				VSUBPS(m, n, n)
				return n
			}
			var t0, t1 reg.VecVirtual
			if s.wide() {
				t0, t1 = value(s.load(integers(0))), value(s.load(integers(16)))
			}
			for j := 0; j < 32; j += s.lanes {
				q := s.shifted(s.bytesAt(at(src, low+g/2*32+j)), g%2*4)
				q = s.replace(q, s.shifted(s.bytesAt(at(src, head+j)), g-4), 16)
				if s.wide() {
					VPERMI2PS(t1, t0, q)
				} else {
					q = s.and(q, s.each32(31))
					VCVTDQ2PS(q, q)
					q = value(q)
				}
				s.store(q, at(dst, 4*(32*g+j)))
			}
		}
	})
}

func (s isa) decodeQ6_K() {
	const high, sub, d = 128, 128 + 64, 128 + 64 + 16
	s.decode256("Q6_K", d+2, func(dst, src reg.GPVirtual) {
		scales := AllocLocal(64)
		s.storeScales(func(from, to Op) { VPMOVSXBD(from, to) }, at(src, sub), s.half(at(src, d)), 0, scales)
		for run := range 4 { // of 16 bytes of high bits, which belong to four groups
			half, at16 := run/2, run%2*16
			for j := at16; j < at16+16; j += s.lanes {
				h := s.bytesAt(at(src, high+32*half+j))
				lows := [2]reg.VecVirtual{s.bytesAt(at(src, 64*half+j)), s.bytesAt(at(src, 64*half+32+j))}
				for k := range 4 {
					low := s.and(s.shifted(lows[k%2], k/2*4), s.each32(15))
					q := s.replace(low, s.shifted(h, 2*k-4), 0x30)
					VPSUBD(s.each32(32), q, q)
					VCVTDQ2PS(q, q)
					scale := s.broadcast(scales.Offset(4 * (8*half + run%2 + 2*k)))
					s.store(s.mul(q, scale), at(dst, 4*(128*half+32*k+j)))
				}
			}
		}
	})
}
