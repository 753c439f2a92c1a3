package main

import (
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

func init() {
	generators["low_bits"] = func() {
		for _, s := range isas {
			s.encodeQ1_0()
			s.encodeQ2_0()
			s.encodeTQ1_0()
			s.encodeTQ2_0()
			s.decodeQ1_0()
			s.decodeQ2_0()
			s.decodeTQ1_0()
			s.decodeTQ2_0()
		}
	}
}

// encodeQ1_0 sums the magnitudes of a lane's block in order.
func (s isa) encodeQ1_0() {
	const n, size = 128, 2 + 128/8
	s.encoder("Q1_0", s.lanes*size, s.lanes*n, func() {}, func(dst, src reg.GPVirtual) {
		halves := AllocLocal(2 * s.lanes)
		sum := s.zero()
		column, p := GP64(), GP64()
		MOVQ(U32(n/4), column)
		MOVQ(src, p)
		Label("columns")
		for _, v := range s.columns(func(row int) Mem { return at(p, row*4*n) }) {
			VADDPS(s.abs(v), sum, sum)
		}
		ADDQ(Imm(16), p)
		DECQ(column)
		JNE(LabelRef("columns"))
		VMULPS(s.eachF32(1.0/n), sum, sum)
		s.storeHalves(sum, halves)
		zero := s.zero()
		for i := range s.lanes {
			copy16(halves.Offset(2*i), at(dst, i*size))
			for j := 0; j < n; j += s.lanes {
				bits := s.bits(s.compare(cmpGE, s.load(at(src, 4*(i*n+j))), zero))
				if s.wide() {
					MOVW(bits.As16(), at(dst, i*size+2+j/8))
				} else {
					MOVB(bits.As8(), at(dst, i*size+2+j/8))
				}
			}
		}
	})
}

// encodeQ2_0 scales the largest magnitude to 1.
func (s isa) encodeQ2_0() {
	const n, size = 64, 2 + 64/4
	s.encoder("Q2_0", s.lanes*size, s.lanes*n, func() {}, func(dst, src reg.GPVirtual) {
		halves, ids := AllocLocal(2*s.lanes), AllocLocal(4*s.lanes)
		d := s.reduce(func(i int) reg.VecVirtual { return s.fold(at(src, i*4*n), n, s.maxAbs) }, s.max)
		s.storeHalves(d, halves)
		s.store(s.inverse(d), ids)
		half, minusHalf, odd, even := s.eachF32(0.5), s.eachF32(-0.5), GP32(), GP32()
		MOVL(U32(0x55555555), even)
		MOVL(U32(0xaaaaaaaa), odd)
		for i := range s.lanes {
			copy16(halves.Offset(2*i), at(dst, i*size))
			id := s.broadcast(ids.Offset(4 * i))
			for j := 0; j < n; j += s.lanes {
				x := s.mul(id, at(src, 4*(i*n+j)))
				one, some := s.bits(s.compare(cmpGE, x, half)), s.bits(s.compare(cmpLE, x, minusHalf))
				ORL(one, some)
				NOTL(some) // the quant is 0 for -1, 1 for 0, 2 for 1
				PDEPL(odd, one, one)
				PDEPL(even, some, some)
				ORL(some, one)
				if s.wide() {
					MOVL(one, at(dst, i*size+2+j/4))
				} else {
					MOVW(one.As16(), at(dst, i*size+2+j/4))
				}
			}
		}
	})
}

// ternary scales 256 weights: it stores the largest magnitude as a half and returns what makes vectors of -1, 0 and 1
// of the weights from the jth on.
func (s isa) ternary(src reg.GPVirtual, scale Mem) func(j int) reg.VecVirtual {
	d := s.everywhere(s.fold(at(src, 0), 256, s.maxAbs), s.max)
	s.jumpIf(cmpGE, d, s.eachF32(f16Limit), "end")
	x := XMM()
	VCVTPS2PH(Imm(0), d.AsX(), x)
	VPEXTRW(Imm(0), x, scale)
	id := s.inverse(d)
	sign, half := s.each32(signBit), s.eachF32(math.Nextafter32(0.5, 0))
	return func(j int) reg.VecVirtual { return s.roundAway(s.mul(id, at(src, 4*j)), sign, half) }
}

// everywhere is op over all lanes of v, in each lane.
func (s isa) everywhere(v reg.VecVirtual, op func(a, b reg.VecVirtual) reg.VecVirtual) reg.VecVirtual {
	w := s.vec()
	if s.wide() {
		VSHUFF64X2(Imm(0x4e), v, v, w)
		v, w = op(v, w), s.vec()
		VSHUFF64X2(Imm(0xb1), v, v, w)
	} else {
		VPERM2F128(Imm(0x01), v, v, w)
	}
	for _, order := range []uint64{0x4e, 0xb1} {
		v, w = op(v, w), s.vec()
		VPERMILPS(Imm(order), v, w)
	}
	return op(v, w)
}

func (s isa) encodeTQ2_0() {
	const scale = 64
	s.encoder("TQ2_0", scale+2, 256, func() {}, func(dst, src reg.GPVirtual) {
		trit := s.ternary(src, at(dst, scale))
		for h := range 2 {
			var q []reg.VecVirtual
			for m := 0; m < 32; m += s.lanes {
				v := trit(128*h + m + 96)
				for k := 2; k >= 0; k-- {
					VPSLLD(Imm(2), v, v)
					VPADDD(trit(128*h+m+32*k), v, v)
				}
				VPADDD(s.each32(0x55), v, v) // one for each
				q = append(q, s.and(v, s.each32(255)))
			}
			VMOVDQU(s.packed32(q, VPACKUSDW, VPACKUSWB), at(dst, 32*h))
		}
	})
}

func (s isa) encodeTQ1_0() {
	const high, scale = 48, 52
	s.encoder("TQ1_0", scale+2, 256, func() {}, func(dst, src reg.GPVirtual) {
		trit := s.ternary(src, at(dst, scale))
		five := func(from, step int) reg.VecVirtual {
			v := trit(from)
			for k := 1; k < 5; k++ {
				w := s.vec()
				VPADDD(v, v, w)
				VPADDD(w, v, v)
				VPADDD(trit(from+k*step), v, v)
			}
			return s.fraction(v)
		}
		var q []reg.VecVirtual
		for m := 0; m < 32; m += s.lanes {
			q = append(q, five(m, 32))
		}
		VMOVDQU(s.packed32(q, VPACKUSDW, VPACKUSWB), at(dst, 0))
		q = nil
		for m := 0; m < 16; m += s.lanes {
			q = append(q, five(160+m, 16))
		}
		s.bytes16(q, at(dst, 32))
		var sum reg.VecVirtual // of trits times what they count
		for j := 0; j < 16; j += s.lanes {
			v := trit(240 + j)
			VPMULLD(table("powersOf3", 81, 81, 81, 81, 27, 27, 27, 27, 9, 9, 9, 9, 3, 3, 3, 3).Offset(4*j), v, v)
			if sum != nil {
				VPADDD(sum, v, v)
			}
			sum = v
		}
		x := XMM()
		if s.wide() {
			y := YMM()
			VEXTRACTI64X4(Imm(1), sum, y)
			VPADDD(y, sum.AsY(), sum.AsY())
		}
		VEXTRACTI128(Imm(1), sum.AsY(), x)
		VPADDD(x, sum.AsX(), sum.AsX())
		VPSUBD(s.each32(1), sum, sum) // the fifth trit counts 1 and is missing
		sum = s.fraction(sum)
		VPSHUFB(lowBytesAVX2(), sum.AsX(), x)
		VMOVD(x, at(dst, high))
	})
}

// fraction makes a byte of five trits' sum: they are one less than what is stored. (256*v+242)/243 is taken by way of
// a multiplication, which is exact for all of them.
func (s isa) fraction(v reg.VecVirtual) reg.VecVirtual {
	const inverse = 69043 // 2^24/243, rounded up
	VPADDD(s.each32(121), v, v)
	VPSLLD(Imm(8), v, v)
	VPADDD(s.each32(242), v, v)
	VPMULLD(s.each32(inverse), v, v)
	VPSRLD(Imm(24), v, v)
	return v
}
