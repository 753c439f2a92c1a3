package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

func init() {
	generators["floats"] = func() {
		for _, s := range isas {
			s.encodeF16()
			s.encodeBF16()
			s.decodeF16()
			s.decodeBF16()
			s.finite16()
		}
	}
}

// floatGroup is the number of values in a group of the kernels of 16-bit floats.
const floatGroup = 64

// encodeFloats writes an encoder of 16-bit floats. pack writes two vectors' worth of them; magnitudes from limit on are too large.
func (s isa) encodeFloats(name string, limit uint32, setup func(), pack func(a, b reg.VecVirtual, dst Mem)) {
	var top reg.VecVirtual
	s.encoder(name, 2*floatGroup, floatGroup, func() {
		top = s.each32(limit)
		setup()
	}, func(dst, src reg.GPVirtual) {
		for i := 0; i < floatGroup; i += 4 * s.lanes {
			var x [4]reg.VecVirtual
			for j := range x {
				x[j] = s.load(at(src, 4*(i+j*s.lanes)))
			}
			most := s.maxAbs(s.maxAbs(x[0], x[1]), s.maxAbs(x[2], x[3]))
			s.jumpIf(cmpGE, most, top, "end")
			pack(x[0], x[1], at(dst, 2*i))
			pack(x[2], x[3], at(dst, 2*(i+2*s.lanes)))
		}
	})
}

func (s isa) encodeF16() {
	const limit = 0x477ff000 // 65520, which rounds to infinity
	s.encodeFloats("F16", limit, func() {}, func(a, b reg.VecVirtual, dst Mem) {
		for i, v := range []reg.VecVirtual{a, b} {
			VCVTPS2PH(Imm(0), v, dst.Offset(2*i*s.lanes))
		}
	})
}

func (s isa) encodeBF16() {
	const limit = 0x7f7f8000 // the least magnitude that rounds to infinity
	var one, half, odd reg.VecVirtual
	s.encodeFloats("BF16", limit, func() {
		one, half = s.each32(1), s.each32(0x7fff)
		if s.wide() {
			odd = s.load(oddWords())
		}
	}, func(a, b reg.VecVirtual, dst Mem) {
		for _, v := range []reg.VecVirtual{a, b} { // to even: half of the unit, less one in its last place where the result is even
			low := s.vec()
			VPSRLD(Imm(16), v, low)
			low = s.and(low, one)
			VPADDD(half, low, low)
			VPADDD(low, v, v)
			if !s.wide() {
				VPSRLD(Imm(16), v, v)
			}
		}
		if s.wide() {
			VPERMT2W(b, odd, a)
		} else {
			VPACKUSDW(b, a, a)
			VPERMQ(Imm(0xd8), a, a)
		}
		s.store(a, dst)
	})
}

// oddWords are the indices of the upper halves of the 32 doublewords of two vectors.
func oddWords() Mem {
	var w []uint32
	for i := uint32(0); i < 64; i += 4 {
		w = append(w, i+1|(i+3)<<16)
	}
	return table("oddWords", w...)
}

func (s isa) decodeF16() {
	s.decoder("F16", 2*floatGroup, floatGroup, func() {}, func(dst, src reg.GPVirtual) {
		for i := 0; i < floatGroup; i += s.lanes {
			v := s.vec()
			VCVTPH2PS(at(src, 2*i), v)
			s.store(v, at(dst, 4*i))
		}
	})
}

func (s isa) decodeBF16() {
	s.decoder("BF16", 2*floatGroup, floatGroup, func() {}, func(dst, src reg.GPVirtual) {
		for i := 0; i < floatGroup; i += s.lanes {
			v := s.vec()
			VPMOVZXWD(at(src, 2*i), v)
			VPSLLD(Imm(16), v, v)
			s.store(v, at(dst, 4*i))
		}
	})
}

// finite16 looks for exponents of all ones among 16-bit floats.
func (s isa) finite16() {
	const values = 4 * floatGroup
	TEXT("finite16"+s.name, NOSPLIT, "func(src *byte, exponent uint16, groups int) (done int)")
	Pragma("noescape")
	Doc("finite16" + s.name + " returns how many groups of 256 floats of 16 bits stand before the first that has a NaN or Inf.")
	src, e32 := GP64(), GP32()
	Load(Param("src"), src)
	Load(Param("exponent"), e32)
	x, e := XMM(), s.vec()
	VMOVD(e32, x)
	VPBROADCASTW(x, e)
	eachGroup(src, src, 2*values, 0, func() {
		var most reg.VecVirtual
		for i := 0; i < values; i += 2 * s.lanes {
			v := s.and(at(src, 2*i), e)
			if most != nil {
				VPMAXUW(most, v, v)
			}
			most = v
		}
		if s.wide() {
			k := K()
			VPCMPEQW(e, most, k)
			KORTESTD(k, k)
		} else {
			m, r := s.vec(), GP32()
			VPCMPEQW(e, most, m)
			VPMOVMSKB(m, r)
			TESTL(r, r)
		}
		JNE(LabelRef("end"))
	})
}
