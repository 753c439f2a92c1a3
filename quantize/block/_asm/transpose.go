package main

import (
	"github.com/mmcloughlin/avo/attr"
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

func init() {
	generators["transpose"] = func() {
		for _, s := range isas {
			s.transpose()
		}
	}
}

// columns loads four neighbouring elements of as many rows as there are lanes, and returns a vector for each of the four.
// row finds them in row r.
func (s isa) columns(row func(r int) Mem) [4]reg.VecVirtual {
	var z, out [4]reg.VecVirtual
	for r := range 4 {
		z[r] = s.vec()
		for k := range s.lanes / 4 { // 128 bits of the rows r, r+4 ...
			m := row(r + 4*k)
			switch {
			case k == 0 && s.wide(): // all of the vector, else it would count as in use before
				VBROADCASTF32X4(m, z[r])
			case k == 0:
				VBROADCASTF128(m, z[r])
			case s.wide():
				VINSERTF32X4(U8(k), m, z[r], z[r])
			default:
				VINSERTF128(U8(k), m, z[r], z[r])
			}
		}
	}
	a, b := s.op(VUNPCKLPS, z[0], z[1]), s.op(VUNPCKHPS, z[0], z[1])
	c, d := s.op(VUNPCKLPS, z[2], z[3]), s.op(VUNPCKHPS, z[2], z[3])
	out[0], out[1] = s.op(VUNPCKLPD, a, c), s.op(VUNPCKHPD, a, c)
	out[2], out[3] = s.op(VUNPCKLPD, b, d), s.op(VUNPCKHPD, b, d)
	return out
}

// atOffsets finds elements 4*i to 4*i+3 of rows, the first of which is row number first of the offsets. i counts bytes:
// 16*i is in index.
func atOffsets(src, offsets, index reg.GPVirtual, first int) func(r int) Mem {
	return func(r int) Mem {
		p := GP64()
		MOVQ(at(offsets, 8*(first+r)), p)
		ADDQ(src, p)
		return Mem{Base: p, Index: index, Scale: 1}
	}
}

func (s isa) transpose() {
	TEXT("transpose"+s.name, attr.NOSPLIT, "func(dst, src *float32, offsets *[16]int, n int)")
	Pragma("noescape")
	Doc("transpose"+s.name+" writes n elements, a multiple of four, of the 16 rows at the given byte offsets from src: element i of row r",
		"to dst[32*i+r].")
	dst, src := Load(Param("dst"), GP64()).(reg.GPVirtual), Load(Param("src"), GP64()).(reg.GPVirtual)
	offsets, n := Load(Param("offsets"), GP64()).(reg.GPVirtual), Load(Param("n"), GP64()).(reg.GPVirtual)
	index := GP64()
	XORQ(index, index)
	SHLQ(U8(2), n)
	l := label("quad")
	Label(l)
	for first := 0; first < 16; first += s.lanes {
		for i, v := range s.columns(atOffsets(src, offsets, index, first)) {
			VMOVUPS(v, Mem{Base: dst, Disp: i*row + 4*first})
		}
	}
	ADDQ(U32(4*row), dst)
	ADDQ(U8(16), index)
	CMPQ(index, n)
	JL(LabelRef(l))
	VZEROUPPER()
	RET()
}
