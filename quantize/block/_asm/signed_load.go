package main

import (
	"github.com/mmcloughlin/avo/attr"
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Layout of signedGroups: rows of 16 lanes.
const (
	signedRow     = 4 * 16
	signedX       = 0
	signedW       = 32 * signedRow
	signedWX      = 64 * signedRow
	signedTop     = 96 * signedRow
	signedMost    = 97 * signedRow
	signedSum     = 98 * signedRow
	signedScale   = 99 * signedRow
	signedInverse = 100 * signedRow
)

// signedLoad generates what transposes 16 groups and weighs their errors, by the weights' squares or by weights that are given.
type signedLoad struct {
	isa
	weighted, important, bare bool
}

func (s signedLoad) generate() {
	name, params, doc := "loadPlain", "groups, x *float32, offsets *[16]int, n int", "errors weigh as the squares of the elements."
	if s.weighted {
		name, params, doc = "loadWeighted", "groups, x, w *float32, offsets *[16]int, n int", "w are the weights of the errors."
	}
	if s.bare {
		name, doc = "loadBare", "errors are not weighed."
	}
	if s.important {
		name, params, doc = "loadImportant", params+", sigma2 float32", "errors weigh w*sqrt(sigma2+x*x)."
	}
	TEXT(name, attr.NOSPLIT, "func("+params+")")
	Pragma("noescape")
	Doc(name + " reads n elements, a multiple of four, of the 16 groups at the given byte offsets; " + doc)
	g, x := Load(Param("groups"), GP64()).(reg.GPVirtual), Load(Param("x"), GP64()).(reg.GPVirtual)
	var w reg.GPVirtual
	if s.weighted {
		w = Load(Param("w"), GP64()).(reg.GPVirtual)
	}
	offsets, n := Load(Param("offsets"), GP64()).(reg.GPVirtual), Load(Param("n"), GP64()).(reg.GPVirtual)
	sigma2 := s.vec()
	if s.important {
		VBROADCASTSS(Load(Param("sigma2"), XMM()), sigma2)
	}
	SHLQ(U8(2), n)
	magnitude := s.each32(0x7fffffff)
	for first := 0; first < 16; first += s.lanes {
		most, top, sum, to, index := s.zero(), s.zero(), s.zero(), GP64(), GP64()
		LEAQ(Mem{Base: g, Disp: 4 * first}, to)
		XORQ(index, index)
		l := label("quad")
		Label(l)
		for i, v := range s.columns(atOffsets(x, offsets, index, first)) {
			s.store(v, at(to, signedX+i*signedRow))
			a := s.and(v, magnitude)
			larger := s.compare(cmpGT, a, most)
			s.set(larger, a, most)
			s.set(larger, v, top)
			if !s.weighted && !s.bare {
				s.weigh(to, i, v, s.mul(v, v))
			}
		}
		if s.weighted {
			for i, weight := range s.columns(atOffsets(w, offsets, index, first)) {
				v := s.load(at(to, signedX+i*signedRow))
				if s.important {
					root := s.add(s.mul(v, v), sigma2)
					VSQRTPS(root, root)
					VMULPS(root, weight, weight)
					VADDPS(weight, sum, sum)
				}
				s.weigh(to, i, v, weight)
			}
		}
		ADDQ(U32(4*signedRow), to)
		ADDQ(U8(16), index)
		CMPQ(index, n)
		JL(LabelRef(l))
		s.store(top, at(g, signedTop+4*first))
		s.store(most, at(g, signedMost+4*first))
		s.store(sum, at(g, signedSum+4*first))
	}
	VZEROUPPER()
	RET()
}

// weigh stores the weight of an element's error, and its product with the element.
func (s signedLoad) weigh(to reg.GPVirtual, i int, x, w reg.VecVirtual) {
	s.store(w, at(to, signedW+i*signedRow))
	s.store(s.mul(w, x), at(to, signedWX+i*signedRow))
}

// set puts the lanes of from that are in the mask into to.
func (s isa) set(m mask, from, to reg.VecVirtual) {
	if s.wide() {
		VMOVAPS(from, m, to)
	} else {
		VBLENDVPS(m, from, to, to)
	}
}
