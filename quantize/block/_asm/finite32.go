package main

import (
	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/reg"
)

func init() {
	generators["finite32"] = func() {
		for _, s := range isas {
			s.finite32()
		}
	}
}

// finite32 looks for exponents of all ones among floats.
func (s isa) finite32() {
	const values = 64
	TEXT("finite32"+s.name, NOSPLIT, "func(src *float32, groups int) (done int)")
	Pragma("noescape")
	Doc("finite32" + s.name + " returns how many groups of 64 floats stand before the first that has a NaN or Inf.")
	src := Load(Param("src"), GP64()).(reg.GPVirtual)
	e := s.each32(0x7f800000)
	eachGroup(src, src, 4*values, 0, func() {
		var most reg.VecVirtual
		for i := 0; i < values; i += s.lanes {
			v := s.and(at(src, 4*i), e)
			if most != nil {
				VPMAXSD(most, v, v)
			}
			most = v
		}
		m := mask{s.vec()}
		if s.wide() {
			m.Register = K()
		}
		VPCMPEQD(e, most, m)
		s.jumpAny(m, "end")
	})
}
