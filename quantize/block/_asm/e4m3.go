package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
)

func init() {
	generators["e4m3"] = func() {
		for _, s := range isas {
			s.scaleE4M3()
		}
	}
}

// scaleE4M3 shifts codes to where a float32 has its exponent, and corrects that by a multiplication, which is exact for
// subnormal ones too.
func (s isa) scaleE4M3() {
	const group = 64
	TEXT("scaleE4M3"+s.name, NOSPLIT, "func(dst *float32, codes *byte, scale float32, groups int) (done int)")
	Pragma("noescape")
	Doc("scaleE4M3" + s.name + " decodes and scales groups of 64 codes and returns how many it did before one with a NaN.")
	dst, src := GP64(), GP64()
	Load(Param("dst"), dst)
	Load(Param("codes"), src)
	scale := s.broadcast(NewParamAddr("scale", 16))
	power, kept := s.eachF32(0x1p120), s.each32(0x87f00000)
	eachGroup(dst, src, 4*group, group, func() {
		for i := 0; i < group; i += s.bytes() {
			v, signs := s.load(at(src, i)), s.each32(0x80808080)
			v = s.or(v, signs)
			if s.wide() {
				k := K()
				VPCMPEQB(s.each32(0xffffffff), v, k)
				KORTESTQ(k, k)
			} else {
				r := GP32()
				VPCMPEQB(s.each32(0xffffffff), v, v)
				VPMOVMSKB(v, r)
				TESTL(r, r)
			}
			JNE(LabelRef("end"))
		}
		for i := 0; i < group; i += s.lanes {
			v := s.vec()
			VPMOVSXBD(at(src, i), v)
			VPSLLD(Imm(20), v, v)
			s.store(s.mul(s.mul(s.and(v, kept), power), scale), at(dst, 4*i))
		}
	})
}
