package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

func init() {
	generators["unpack"] = func() {
		unpackQ8_0()
		unpackQ4_K()
		unpackQ6_K()
	}
}

func unpackQ8_0() {
	const size = 34
	unpacker("Q8_0", 8*size, func() func(dst, src reg.Register) {
		store, sign := quantStore("natural", natural), eachByte(0x80)
		return func(dst, src reg.Register) {
			var q [4]reg.VecVirtual
			for k := range q {
				y, z := YMM(), ZMM()
				VMOVDQU(Mem{Base: src, Disp: 2*k*size + 2}, y)
				VINSERTI64X4(Imm(1), Mem{Base: src, Disp: (2*k+1)*size + 2}, y.AsZ(), z)
				VPXORD(sign, z, z)
				q[k] = z
			}
			store(q, dst)
			VMOVUPS(halves(src, 0, size), Mem{Base: dst, Disp: weightScales})
		}
	})
}
