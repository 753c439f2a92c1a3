package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

func (s isa) decodeQ1_0() {
	const n, size = 128, 2 + 128/8
	s.decoder("Q1_0", size, n, func() {}, func(dst, src reg.GPVirtual) {
		d := s.half(at(src, 0))
		minus := s.xor(d, s.each32(signBit))
		for j := 0; j < n; j += s.lanes {
			m := mask{}
			if s.wide() {
				m.Register = K()
				KMOVW(at(src, 2+j/8), m)
			} else {
				bits := s.load(table("bits", 1, 2, 4, 8, 16, 32, 64, 128))
				v := s.vec()
				VPBROADCASTB(at(src, 2+j/8), v)
				VPAND(bits, v, v)
				VPCMPEQD(bits, v, v)
				m.Register = v
			}
			s.store(s.choose(m, d, minus), at(dst, 4*j))
		}
	})
}

// twoBits is the table of d*(q-1).
func (s isa) twoBits(d reg.VecVirtual) reg.VecVirtual {
	return s.small(2, 1, func(n reg.VecVirtual) { VMULPS(d, n, n) })
}

func (s isa) decodeQ2_0() {
	const n, size = 64, 2 + 64/4
	s.decoder("Q2_0", size, n, func() {}, func(dst, src reg.GPVirtual) {
		t := s.twoBits(s.half(at(src, 0)))
		w := make([]uint32, 16)
		for i := range w {
			w[i] = uint32(2 * i)
		}
		shifts := s.load(table("shifts", w...))
		for j := 0; j < n; j += s.lanes {
			q := s.vec()
			if s.wide() {
				VPBROADCASTD(at(src, 2+j/4), q)
			} else {
				VPBROADCASTW(at(src, 2+j/4), q)
			}
			VPSRLVD(shifts, q, q)
			s.store(s.permute(t, q), at(dst, 4*j))
		}
	})
}

func (s isa) decodeTQ2_0() {
	const scale = 64
	s.decode256("TQ2_0", scale+2, func(dst, src reg.GPVirtual) {
		t := s.twoBits(s.half(at(src, scale)))
		for m := 0; m < 64; m += s.lanes {
			q := s.bytesAt(at(src, m))
			for k := range 4 {
				s.store(s.permute(t, s.shifted(q, 2*k)), at(dst, 4*(m/32*128+32*k+m%32)))
			}
		}
	})
}

func (s isa) decodeTQ1_0() {
	const high, scale = 48, 52
	s.decode256("TQ1_0", scale+2, func(dst, src reg.GPVirtual) {
		t := s.twoBits(s.half(at(src, scale)))
		// next is the value of the first trit; it is taken off q.
		next := func(q reg.VecVirtual) (value, rest reg.VecVirtual) {
			triple := s.vec()
			VPADDD(q, q, triple)
			VPADDD(triple, q, q)
			return s.permute(t, s.shifted(q, 8)), s.and(q, s.each32(255))
		}
		for m := 0; m < 48; m += s.lanes {
			from, step := m, 32
			if m >= 32 {
				from, step = 160+m-32, 16
			}
			q := s.bytesAt(at(src, m))
			for k := range 5 {
				var v reg.VecVirtual
				v, q = next(q)
				s.store(v, at(dst, 4*(from+k*step)))
			}
		}
		for j := 0; j < 16; j += s.lanes { // the four bytes times 1, 3, 9, 27
			q := s.vec()
			if s.wide() {
				VPMOVZXBD(at(src, high), q.AsX())
				VSHUFI32X4(Imm(0), q, q, q)
			} else {
				VPMOVZXBD(at(src, high), q.AsX())
				VINSERTI128(Imm(1), q.AsX(), q, q)
			}
			VPMULLD(table("powersUpTo27", 1, 1, 1, 1, 3, 3, 3, 3, 9, 9, 9, 9, 27, 27, 27, 27).Offset(4*j), q, q)
			v, _ := next(s.and(q, s.each32(255)))
			s.store(v, at(dst, 4*(240+j)))
		}
	})
}
