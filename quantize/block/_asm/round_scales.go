package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/attr"
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

func init() {
	generators["round_scales"] = func() {
		for _, s := range isas {
			s.roundScales(63, 8)
			s.roundScales(15, 16)
		}
	}
}

// Layout of minFits, continued: bits, halves and bytes.
const (
	fitFlags = 7 * 1024
	fitHalf  = fitFlags + 32
	fitByte  = fitHalf + 2*512
)

// roundScales generates the rounding of scales and mins to 0..top under a common scale of each n groups.
func (s isa) roundScales(top, n int) {
	name := fmt.Sprintf("roundScales%d%s", top, s.name)
	TEXT(name, attr.NOSPLIT, "func(f *float32, n int)")
	Pragma("noescape")
	Doc(name + " rounds scales and mins of the first n groups, and flags those that the type cannot hold.")
	floats, left := Load(Param("f"), GP64()).(reg.GPVirtual), Load(Param("n"), GP64()).(reg.GPVirtual)
	flags, halves, bytes := GP64(), GP64(), GP64()
	LEAQ(Mem{Base: floats, Disp: fitFlags}, flags)
	LEAQ(Mem{Base: floats, Disp: fitHalf}, halves)
	LEAQ(Mem{Base: floats, Disp: fitByte}, bytes)
	l := label("groups")
	Label(l)
	vectors := max(1, n/s.lanes)
	for i, field := range []struct{ from, to int }{{fitScale, fitD}, {fitMin, fitM}} {
		v := make([]reg.VecVirtual, vectors)
		for j := range v {
			v[j] = s.load(Mem{Base: floats, Disp: field.from + j*s.bytes()})
		}
		common, inverse := s.commonScale(v, top, n)
		s.toHalves(common, at(halves, 512*i))
		bad := s.notFinite(common)
		for j := range v {
			q := s.add(s.mul(v[j], inverse), s.eachF32(12582912))
			VANDPS(s.each32(255), q, q)
			value := s.vec()
			VCVTDQ2PS(q, value)
			beyond := s.compare(cmpGT, value, s.eachF32(float32(top)))
			s.orBits(s.either(bad, beyond), Mem{Base: flags, Disp: j * s.lanes / 8})
			VMOVUPS(s.mul(value, common), Mem{Base: floats, Disp: field.to + j*s.bytes()})
			s.storeBytes([]reg.VecVirtual{q}, Mem{Base: bytes, Disp: 256*i + j*s.lanes})
		}
	}
	done := vectors * s.lanes
	ADDQ(U8(4*done), floats)
	ADDQ(U8(2*done), halves)
	ADDQ(U8(done), bytes)
	ADDQ(U8(done/8), flags)
	SUBQ(U8(done), left)
	JG(LabelRef(l))
	VZEROUPPER()
	RET()
}

// commonScale is the largest of each n values, at least 0, over top, and its inverse, 0 for 0.
func (s isa) commonScale(v []reg.VecVirtual, top, n int) (common, inverse reg.VecVirtual) {
	zero := s.zero()
	largest := zero
	for _, x := range v {
		m := s.vec()
		VMAXPS(largest, x, m)
		largest = m
	}
	fold := func(swap func(out reg.VecVirtual)) {
		other := s.vec()
		swap(other)
		VMAXPS(other, largest, largest)
	}
	fold(func(out reg.VecVirtual) { VPERMILPS(U8(0xb1), largest, out) })
	fold(func(out reg.VecVirtual) { VPERMILPS(U8(0x4e), largest, out) })
	if s.wide() {
		fold(func(out reg.VecVirtual) { VSHUFF32X4(U8(0xb1), largest, largest, out) })
		if n == 16 {
			fold(func(out reg.VecVirtual) { VSHUFF32X4(U8(0x4e), largest, largest, out) })
		}
	} else {
		fold(func(out reg.VecVirtual) { VPERM2F128(U8(1), largest, largest, out) })
	}
	t := s.eachF32(float32(top))
	inverse = s.choose(s.compare(cmpGT, largest, zero), s.div(t, largest), zero)
	return s.div(largest, t), inverse
}
