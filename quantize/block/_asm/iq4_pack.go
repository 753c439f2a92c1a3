package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// packIQ4 writes a kernel that encodes blocks of 32 values, given the inverses of their scales.
func (s isa) packIQ4() {
	TEXT("packIQ4"+s.name, NOSPLIT, "func(dst *byte, src, inverse *float32, blocks, stride int)")
	Pragma("noescape")
	Doc("packIQ4" + s.name + " writes the 16 bytes of each of a number of blocks of 32 values, a stride apart.")
	dst, src, inverses, blocks, stride := GP64(), GP64(), GP64(), GP64(), GP64()
	Load(Param("dst"), dst)
	Load(Param("src"), src)
	Load(Param("inverse"), inverses)
	Load(Param("blocks"), blocks)
	Load(Param("stride"), stride)
	n := s.iq4()
	var numbers [2]reg.VecVirtual
	if s.wide() {
		of := make([]uint32, 16)
		for i := range of {
			of[i] = uint32(i)
		}
		numbers = s.pair("numbersIQ4", s.byPosition(of))
	}
	Label("block")
	inverse := s.broadcast(at(inverses, 0))
	var q []reg.VecVirtual
	for j := 0; j < 32; j += s.lanes {
		x := s.vec()
		VMULPS(at(src, 4*j), inverse, x)
		if s.wide() {
			q = append(q, s.look(numbers, n.position(n.clamp(x))))
		} else {
			q = append(q, n.position(x))
		}
	}
	half := len(q) / 2
	for i := range half {
		VPSLLD(Imm(4), q[half+i], q[half+i])
		q[i] = s.or(q[i], q[half+i])
	}
	s.bytes16(q[:half], at(dst, 0))
	ADDQ(Imm(4), inverses)
	ADDQ(U32(blockBytes), src)
	ADDQ(stride, dst)
	DECQ(blocks)
	JNZ(LabelRef("block"))
	VZEROUPPER()
	RET()
}

// unpackIQ4 writes a kernel that decodes blocks of 32 values, given their scales.
func (s isa) unpackIQ4() {
	TEXT("unpackIQ4"+s.name, NOSPLIT, "func(dst *float32, src *byte, scales *float32, blocks, stride int)")
	Pragma("noescape")
	Doc("unpackIQ4" + s.name + " decodes a number of blocks of 32 values whose 16 bytes are a stride apart.")
	dst, src, scales, blocks, stride := GP64(), GP64(), GP64(), GP64(), GP64()
	Load(Param("dst"), dst)
	Load(Param("src"), src)
	Load(Param("scales"), scales)
	Load(Param("blocks"), blocks)
	Load(Param("stride"), stride)
	t := table("valuesInOrderIQ4", floatBits(valuesIQ4)...)
	values := []reg.VecVirtual{s.load(t)}
	if !s.wide() {
		values = append(values, s.load(t.Offset(s.bytes())))
	}
	value := func(q reg.VecVirtual) reg.VecVirtual {
		if !s.wide() {
			return s.look([2]reg.VecVirtual(values), q)
		}
		VPERMPS(values[0], q, q)
		return q
	}
	Label("block")
	scale := s.broadcast(at(scales, 0))
	for j := 0; j < 16; j += s.lanes {
		q, high := s.vec(), s.vec()
		VPMOVZXBD(at(src, j), q)
		VPSRLD(Imm(4), q, high)
		for i, v := range []reg.VecVirtual{value(q), value(high)} {
			VMULPS(scale, v, v)
			s.store(v, at(dst, 4*(j+16*i)))
		}
	}
	ADDQ(Imm(4), scales)
	ADDQ(U32(blockBytes), dst)
	ADDQ(stride, src)
	DECQ(blocks)
	JNZ(LabelRef("block"))
	VZEROUPPER()
	RET()
}
