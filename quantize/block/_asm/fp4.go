package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

func init() {
	generators["fp4"] = func() {
		for _, s := range isas {
			s.encodeMXFP4()
			s.encodeNVFP4()
			s.decodeMXFP4()
			s.decodeNVFP4()
		}
	}
}

// fp4Ends are twice the midpoints between neighbours among the values 0, 1, 2, 3, 4, 6, 8, 12: a value of which the double,
// rounded up, is greater than n of them is nearest to the nth; ties go to the lesser.
var fp4Ends = [...]int{1, 3, 5, 7, 10, 14, 20}

// fp4Index is the quant of the value whose double, rounded up, is c.
func fp4Index(c int, negative bool) byte {
	var n byte
	for _, end := range fp4Ends {
		if c > end {
			n++
		}
	}
	if negative && n > 0 {
		n += 8
	}
	return n
}

// fp4Table maps c to quants, of positive values (0) or negative ones (1).
func fp4Table(at int) Mem {
	b := make([]byte, 64)
	for c := range b {
		b[c] = fp4Index(c, at > 0)
	}
	return bytesTable([]string{"fp4Positive", "fp4Negative"}[at], b)
}

// bytesTable is table for bytes.
func bytesTable(name string, b []byte) Mem {
	w := make([]uint32, len(b)/4)
	for i := range b {
		w[i/4] |= uint32(b[i]) << (i % 4 * 8)
	}
	return table(name, w...)
}

// packFP4 turns 32 doublewords, doubles of magnitudes rounded up, and the weights they are of into 16 bytes of quants: the first 16
// low, the others high. order says for AVX-512 which bytes of the two vectors are the first, and so on.
func (s isa) packFP4(c, x []reg.VecVirtual, order, dst Mem) {
	for i := range c { // the sign goes to bit 6
		VPSRLD(Imm(25), x[i], x[i])
		if s.wide() {
			VPTERNLOGD(Imm(0xf8), s.each32(64), x[i], c[i]) // c | x&64
		} else {
			c[i] = s.or(c[i], s.and(x[i], s.each32(64)))
		}
	}
	var q reg.VecVirtual
	if s.wide() {
		VPERMT2B(c[1], s.load(order), c[0])
		VPERMI2B(s.load(fp4Table(1)), s.load(fp4Table(0)), c[0])
		q = c[0].AsY().(reg.VecVirtual)
	} else {
		q = s.lookUpFP4(s.bytes32(c))
	}
	hi := XMM()
	VEXTRACTI128(Imm(1), q, hi)
	VPSLLD(Imm(4), hi, hi)
	VPOR(q.AsX(), hi, hi)
	VMOVDQU(hi, dst)
}

// lookUpFP4 does with two shuffles of bytes what fp4Table does with one.
func (s isa) lookUpFP4(b reg.VecVirtual) reg.VecVirtual {
	small, large := make([]byte, 32), make([]byte, 32)
	for i := range 32 {
		small[i], large[i] = fp4Index(i%16, false), fp4Index(16+i%16, false)
	}
	minus := s.and(b, s.each32(0x40404040))
	b = s.and(b, s.each32(0x3f3f3f3f))
	VPMINUB(s.each32(0x1f1f1f1f), b, b) // 32 is as good as 31
	lo, hi, none := YMM(), YMM(), YMM()
	VPADDUSB(s.each32(0x70707070), b, lo) // of 16 and more the highest bit is set, for which a shuffle gives 0
	VPSUBB(s.each32(0x10101010), b, hi)
	tables := s.load(bytesTable("fp4Small", small))
	VPSHUFB(lo, tables, lo)
	tables = s.load(bytesTable("fp4Large", large))
	VPSHUFB(hi, tables, hi)
	q := s.or(lo, hi)
	VPCMPEQB(s.eachF32(0), q, none)
	VPSRLD(Imm(3), minus, minus)
	VPANDN(minus, none, minus)
	return s.or(q, minus)
}

// greater is the mask of lanes where a > b as signed integers.
func (s isa) greater(a, b reg.VecVirtual) mask {
	var m mask
	if s.wide() {
		m.Register = K()
	} else {
		m.Register = s.vec()
	}
	VPCMPGTD(b, a, m)
	return m
}

// encodeMXFP4 leaves to the portable form magnitudes just below a power of two, whose logarithm may round to it, and those
// that make subnormal scales.
func (s isa) encodeMXFP4() {
	const (
		size = 1 + 16
		near = 0x7fff80 // what mantissas must not exceed: half a unit in the last place of a logarithm is 45 units here at most
	)
	s.encode32("MXFP4", size, func(src, slot reg.GPVirtual) {
		amax := s.reduce(func(i int) reg.VecVirtual { return s.fold(at(src, i*blockBytes), 32, s.maxAbs) }, s.max)
		s.jumpAny(s.greater(s.and(amax, s.each32(0x7fffff)), s.each32(near)), "end")
		s.jumpAny(s.both(s.compare(cmpLT, amax, s.eachF32(0x1p-123)), s.compare(cmpNEQ, amax, s.eachF32(0))), "end")
		e := amax
		VPSRLD(Imm(23), amax, e)
		VPSUBD(s.each32(2), e, e)
		VPMAXSD(s.each32(0), e, e)
		s.store(e, at(slot, slotLow))
		f := s.each32(256) // the scale is 2^(e-128), its half's inverse 2^(129-e); of a block of zeros it is 0
		VPSUBD(e, f, f)
		VPSLLD(Imm(23), f, f)
		s.store(f, at(slot, slotInv))
	}, func(dst, src, slot reg.GPVirtual) {
		for i := range s.lanes {
			r := GP32()
			MOVBLZX(at(slot, slotLow+4*i), r)
			MOVB(r.As8(), at(dst, i*size))
			factor := s.broadcast(at(slot, slotInv+4*i))
			var c, x []reg.VecVirtual
			for j := 0; j < 32; j += s.lanes {
				w := s.load(at(src, i*blockBytes+4*j))
				x, c = append(x, w), append(c, s.roundUp(s.abs(s.mul(w, factor))))
			}
			s.packFP4(c, x, lowBytes(), at(dst, i*size+1))
		}
	})
}

// roundUp is the least integer that is not less.
func (s isa) roundUp(v reg.VecVirtual) reg.VecVirtual {
	if s.wide() {
		VCVTPS2DQ_RU_SAE(v, v)
	} else {
		VROUNDPS(Imm(2), v, v)
		VCVTPS2DQ(v, v)
	}
	return v
}

// encodeNVFP4 takes a lane for each group of 16, and leaves to the portable form groups whose scale would exceed 240.
func (s isa) encodeNVFP4() {
	const size = 4 + 32
	blocks := s.lanes / 4
	s.encoder("NVFP4", blocks*size, blocks*64, func() {}, func(dst, src reg.GPVirtual) {
		halves, inverses := AllocLocal(4*s.lanes), AllocLocal(4*s.lanes)
		t := s.reduce(func(i int) reg.VecVirtual { return s.abs(s.fold(at(src, i*64), 16, s.maxAbs)) }, s.max)
		VDIVPS(s.eachF32(6), t, t)
		s.jumpIf(cmpGE, t, s.eachF32(248), "end")
		s.storeScalesFP4(t, dst, size, halves)
		h := s.load(halves)
		inverse := s.vec()
		VDIVPS(h, s.eachF32(1), inverse)
		s.store(s.only(s.compare(cmpNEQ, h, s.eachF32(0)), inverse), inverses)
		for i := 0; i < s.lanes; i += 2 {
			var c, x []reg.VecVirtual
			for j := i; j < i+2; j++ {
				half, inv := s.broadcast(halves.Offset(4*j)), s.broadcast(inverses.Offset(4*j))
				for k := 0; k < 16; k += s.lanes {
					w := s.load(at(src, 64*j+4*k))
					x, c = append(x, w), append(c, s.divideUp(s.abs(w), half, inv))
				}
			}
			if !s.wide() { // both groups' first halves go before the second ones
				c[1], c[2], x[1], x[2] = c[2], c[1], x[2], x[1]
			}
			s.packFP4(c, x, splitBytes(), at(dst, i/4*size+4+i%4*8))
		}
	})
}

// splitBytes is lowBytes with the first eight of both vectors before the others.
func splitBytes() Mem {
	return table("splitBytes", 0x0c080400, 0x1c181410, 0x4c484440, 0x5c585450, 0x2c282420, 0x3c383430, 0x6c686460, 0x7c787470,
		0, 0, 0, 0, 0, 0, 0, 0)
}

// divideUp is a/d rounded up, for quotients below 2^22; inverse is about 1/d, or 0 with d. The remainder of the nearest
// integer is exact but for its magnitude.
func (s isa) divideUp(a, d, inverse reg.VecVirtual) reg.VecVirtual {
	q := s.mul(a, inverse)
	if s.wide() {
		VRNDSCALEPS(Imm(0), q, q)
	} else {
		VROUNDPS(Imm(0), q, q)
	}
	VFNMADD231PS(d, q, a) // a - q*d
	m := s.compare(cmpGT, a, s.eachF32(0))
	if s.wide() {
		VADDPS(s.eachF32(1), q, m, q)
	} else {
		VADDPS(s.and(m, s.eachF32(1)), q, q)
	}
	VCVTPS2DQ(q, q)
	return q
}

// storeScalesFP4 rounds t to unsigned E4M3, puts these into the heads of the blocks at dst and half of what they
// decode to, a quarter of their value, at halves. t is below 248.
func (s isa) storeScalesFP4(t reg.VecVirtual, dst reg.GPVirtual, size int, halves Mem) {
	small := s.compare(cmpLT, t, s.eachF32(1.0/64))
	normal := s.vec()
	VPADDD(s.each32(0x80000), t, normal)
	VPSRLD(Imm(20), normal, normal)
	VPSUBD(s.each32((127-7)<<3), normal, normal)
	subnormal := s.mul(t, s.eachF32(512))
	VADDPS(s.eachF32(0.5), subnormal, subnormal)
	VCVTTPS2DQ(subnormal, subnormal)
	VPMINSD(s.each32(7), subnormal, subnormal)
	e := s.choose(small, subnormal, normal)

	VPADDD(s.each32((127-7-2)<<3), normal, normal)
	VPSLLD(Imm(20), normal, normal)
	VCVTDQ2PS(subnormal, subnormal)
	s.store(s.choose(small, s.mul(subnormal, s.eachF32(0x1p-11)), normal), halves)

	x := XMM()
	if s.wide() {
		VPMOVDB(e, x)
	} else {
		VPSHUFB(s.load(lowBytesAVX2()), e, e)
		VPERMD(e, s.load(table("firsts", 0, 4, 0, 0, 0, 0, 0, 0)), e)
		x = e.AsX().(reg.VecVirtual)
	}
	for b := range s.lanes / 4 {
		VPEXTRD(Imm(uint64(b)), x, at(dst, b*size))
	}
}
