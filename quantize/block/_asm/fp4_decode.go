package main

import (
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// scalesFP4 is a table of what all bytes mean as scales.
func scalesFP4(name string, value func(b int) float32) Mem {
	w := make([]uint32, 256)
	for b := range w {
		w[b] = math.Float32bits(value(b))
	}
	return table(name, w...)
}

// valuesFP4 looks up the values of the low nibbles of 32 bits each; the other bits must be 0.
func (s isa) valuesFP4(q reg.VecVirtual) reg.VecVirtual {
	values := []float32{0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12}
	if s.wide() {
		w := make([]uint32, 16)
		for i, v := range values {
			w[i] = math.Float32bits(v)
		}
		v := s.vec()
		VPERMPS(s.load(table("fp4Values", w...)), q, v)
		return v
	}
	b := make([]byte, 32)
	for i := range b {
		b[i] = byte(int8(values[i%16]))
	}
	v := s.load(bytesTable("fp4Integers", b))
	VPSHUFB(q, v, v)
	VPSLLD(Imm(24), v, v) // zero bytes have become values of 0; only the lowest one counts
	VPSRAD(Imm(24), v, v)
	VCVTDQ2PS(v, v)
	return v
}

func (s isa) decodeMXFP4() {
	const size, blocks = 1 + 16, 8
	scales := func() Mem {
		return scalesFP4("mxfp4Scales", func(e int) float32 { return float32(math.Ldexp(1, e-128)) })
	}
	var p reg.GPVirtual
	s.decoder("MXFP4", blocks*size, blocks*32, func() {
		p = GP64()
		LEAQ(scales(), p)
	}, func(dst, src reg.GPVirtual) {
		for i := range blocks {
			e := GP32()
			MOVBLZX(at(src, i*size), e)
			d := s.broadcast(Mem{Base: p, Index: e.As64(), Scale: 4})
			for j := 0; j < 16; j += s.lanes {
				lo, hi := s.nibbles(at(src, i*size+1+j))
				s.store(s.mul(s.valuesFP4(lo), d), at(dst, 4*(32*i+j)))
				s.store(s.mul(s.valuesFP4(hi), d), at(dst, 4*(32*i+16+j)))
			}
		}
	})
}

// nibbles are the low and the high halves of as many bytes as there are lanes.
func (s isa) nibbles(src Mem) (lo, hi reg.VecVirtual) {
	hi = s.vec()
	VPMOVZXBD(src, hi)
	lo = s.and(hi, s.each32(15))
	VPSRLD(Imm(4), hi, hi)
	return lo, hi
}

func (s isa) decodeNVFP4() {
	const size, blocks = 4 + 32, 2
	scales := func() Mem { return scalesFP4("nvfp4Scales", nvfp4Scale) }
	var p reg.GPVirtual
	s.decoder("NVFP4", blocks*size, blocks*64, func() {
		p = GP64()
		LEAQ(scales(), p)
	}, func(dst, src reg.GPVirtual) {
		for i := range 4 * blocks {
			e := GP32()
			MOVBLZX(at(src, i/4*size+i%4), e)
			d := s.broadcast(Mem{Base: p, Index: e.As64(), Scale: 4})
			q := at(src, i/4*size+4+i%4*8)
			to := at(dst, 64*i)
			if !s.wide() {
				lo, hi := s.nibbles(q)
				s.store(s.mul(s.valuesFP4(lo), d), to)
				s.store(s.mul(s.valuesFP4(hi), d), to.Offset(32))
				continue
			}
			v, hi := s.vec(), YMM()
			VPMOVZXBD(q, v.AsY())
			VPSRLD(Imm(4), v.AsY(), hi)
			VINSERTI64X4(Imm(1), hi, v, v)
			s.store(s.mul(s.valuesFP4(v), d), to)
		}
	})
}

// nvfp4Scale is half of an unsigned E4M3 number; 0x7f stands for 0.
func nvfp4Scale(b int) float32 {
	e, m := b>>3&15, float64(b&7)
	switch {
	case b == 0x7f:
		return 0
	case e == 0:
		return float32(math.Ldexp(m, -10))
	}
	return float32(math.Ldexp(8+m, e-11))
}
