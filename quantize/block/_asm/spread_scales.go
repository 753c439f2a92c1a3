package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// spreadScales writes what fitScales found where the plain rounding leaves it: in the order of groups, n of them a super-block.
func (s isa) spreadScales(n int) {
	name := map[int]string{8: "spreadScales8", 16: "spreadScales16"}[n] + s.name
	TEXT(name, NOSPLIT, "func(b, f *float32, first, blocks int)")
	Pragma("noescape")
	Doc(name + " writes scales and mins of up to 16 super-blocks from position first of f: rounded, and times the common scales.")
	b, floats := Load(Param("b"), GP64()).(reg.GPVirtual), Load(Param("f"), GP64()).(reg.GPVirtual)
	first, blocks := Load(Param("first"), GP64()).(reg.GPVirtual), Load(Param("blocks"), GP64()).(reg.GPVirtual)
	bytes := GP64()
	LEAQ(Mem{Base: floats, Index: first, Scale: 1, Disp: fitByte}, bytes)
	LEAQ(Mem{Base: floats, Index: first, Scale: 4}, floats)
	Label("quad")
	for i, field := range []int{fitD, fitM} {
		for g := 0; g < n; g += s.lanes {
			for j, v := range s.columns(func(r int) Mem { return at(b, offQ+64*i+row*(g+r)) }) {
				q := s.vec()
				VCVTPS2DQ(v, q)
				VMULPS(s.broadcast(at(b, offCommon+64*i+4*j)), v, v)
				toFloats, toBytes := at(floats, field+4*(n*j+g)), at(bytes, 256*i+n*j+g)
				if n < s.lanes {
					half := XMM()
					VPMOVDB(q, half)
					VMOVQ(half, toBytes)
					VMOVUPS(v.AsY(), toFloats)
				} else {
					s.storeBytes([]reg.VecVirtual{q}, toBytes)
					s.store(v, toFloats)
				}
			}
		}
	}
	ADDQ(U8(16), b)
	ADDQ(U32(4*4*n), floats)
	ADDQ(U8(4*n), bytes)
	SUBQ(U8(4), blocks)
	JG(LabelRef("quad"))
	VZEROUPPER()
	RET()
}
