package main

import (
	"fmt"
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

func init() {
	generators["decode32"] = func() {
		for _, s := range isas {
			s.decodeQ8_0()
			s.decodeNibbles("Q4_0", 18, 2, func(d reg.VecVirtual, _ Mem) func(q reg.VecVirtual) reg.VecVirtual {
				return s.lookUp(-8, func(n reg.VecVirtual) { VMULPS(d, n, n) })
			})
			s.decodeNibbles("Q4_1", 20, 4, func(d reg.VecVirtual, head Mem) func(q reg.VecVirtual) reg.VecVirtual {
				m := s.half(head.Offset(2))
				return s.lookUp(0, func(n reg.VecVirtual) { VMULPS(d, n, n); VADDPS(m, n, n) })
			})
			s.decodeFive("Q5_0", 22, 2, 16, false)
			s.decodeFive("Q5_1", 24, 4, 0, true)
		}
	}
}

// decodeBlocks is the number of blocks of 32 that decoders take at a time.
const decodeBlocks = 4

// half is a half from memory in all lanes, as floats.
func (s isa) half(m Mem) reg.VecVirtual {
	v := s.vec()
	if s.wide() {
		VPBROADCASTW(m, v.AsY())
		VCVTPH2PS(v.AsY(), v)
	} else {
		VPBROADCASTW(m, v.AsX())
		VCVTPH2PS(v.AsX(), v)
	}
	return v
}

// decode32 writes a decoder of blocks of 32.
func (s isa) decode32(name string, size int, block func(dst, src Mem)) {
	s.decoder(name, decodeBlocks*size, decodeBlocks*32, func() {}, func(dst, src reg.GPVirtual) {
		for i := range decodeBlocks {
			block(at(dst, i*blockBytes), at(src, i*size))
		}
	})
}

func (s isa) decodeQ8_0() {
	s.decode32("Q8_0", 2+32, func(dst, src Mem) {
		d := s.half(src)
		for j := 0; j < 32; j += s.lanes {
			q := s.vec()
			VPMOVSXBD(src.Offset(2+j), q)
			VCVTDQ2PS(q, q)
			s.store(s.mul(q, d), dst.Offset(4*j))
		}
	})
}

// lookUp makes a function from quants of four bits to values. value turns quants, as floats and less an offset, into these. With AVX-512
// that is done once for a table, of which doublewords' low four bits are indices; AVX2 computes each.
func (s isa) lookUp(offset int, value func(n reg.VecVirtual)) func(q reg.VecVirtual) reg.VecVirtual {
	if s.wide() {
		t := s.load(integers(offset))
		value(t)
		return func(q reg.VecVirtual) reg.VecVirtual {
			v := s.vec()
			VPERMPS(t, q, v)
			return v
		}
	}
	return func(q reg.VecVirtual) reg.VecVirtual {
		v := s.and(q, s.each32(15))
		if offset != 0 {
			VPADDD(s.each32(uint32(int32(offset))), v, v)
		}
		VCVTDQ2PS(v, v)
		value(v)
		return v
	}
}

// integers are sixteen floats from n on.
func integers(n int) Mem {
	return floats(fmt.Sprintf("integersFrom%d", n+128), func(i int) float32 { return float32(n + i) })
}

// floats is a table of sixteen.
func floats(name string, value func(i int) float32) Mem {
	w := make([]uint32, 16)
	for i := range w {
		w[i] = math.Float32bits(value(i))
	}
	return table(name, w...)
}

// decodeNibbles writes a decoder of blocks that are a head and 16 bytes of nibbles, as pack32 puts them.
func (s isa) decodeNibbles(name string, size, head int, values func(d reg.VecVirtual, head Mem) func(q reg.VecVirtual) reg.VecVirtual) {
	s.decode32(name, size, func(dst, src Mem) {
		value := values(s.half(src), src)
		for j := 0; j < 16; j += s.lanes {
			q := s.vec()
			VPMOVZXBD(src.Offset(head+j), q)
			s.store(value(q), dst.Offset(4*j))
			VPSRLD(Imm(4), q, q)
			s.store(value(q), dst.Offset(4*(16+j)))
		}
	})
}

// decodeFive writes a decoder of blocks of five bits, as pack32High puts them: values are (q-zero)*d, plus a min where there is one.
func (s isa) decodeFive(name string, size, head, zero int, min bool) {
	s.decode32(name, size, func(dst, src Mem) {
		d := s.half(src)
		var m reg.VecVirtual
		if min {
			m = s.half(src.Offset(2))
		}
		scaled := func(v reg.VecVirtual) reg.VecVirtual {
			VMULPS(d, v, v)
			if min {
				VADDPS(m, v, v)
			}
			return v
		}
		q := func(j int) reg.VecVirtual { // bits 0 to 3 of quants j and further are those of bits 0 to 3
			v := s.vec()
			VPMOVZXBD(src.Offset(head+4+j%16), v)
			if j >= 16 {
				VPSRLD(Imm(4), v, v)
			}
			return v
		}
		if s.wide() {
			low, high := scaled(s.load(integers(-zero))), scaled(s.load(integers(16-zero)))
			for j := 0; j < 32; j += 16 {
				k, idx, v := K(), q(j), s.vec()
				KMOVW(src.Offset(head+j/8), k)
				VPERMPS(low, idx, v)
				VPERMPS(high, idx, k, v)
				s.store(v, dst.Offset(4*j))
			}
			return
		}
		fifth := s.vec()
		VPBROADCASTD(src.Offset(head), fifth)
		for j := 0; j < 32; j += 8 {
			bit := s.vec()
			VPSLLVD(s.load(shiftsTo31(j)), fifth, bit)
			VPSRLD(Imm(27), bit, bit)
			v := s.or(s.and(q(j), s.each32(15)), s.and(bit, s.each32(16)))
			if zero != 0 {
				VPSUBD(s.each32(uint32(zero)), v, v)
			}
			VCVTDQ2PS(v, v)
			s.store(scaled(v), dst.Offset(4*j))
		}
	})
}

// shiftsTo31 bring bits j to j+7 to the top.
func shiftsTo31(j int) Mem {
	w := make([]uint32, 8)
	for i := range w {
		w[i] = uint32(31 - j - i)
	}
	return table(fmt.Sprintf("bitsFrom%d", j), w...)
}
