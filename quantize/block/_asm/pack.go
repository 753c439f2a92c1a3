package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// bytes32 is a YMM of the low bytes of 32 doublewords, which as signed numbers fit.
func (s isa) bytes32(q []reg.VecVirtual) reg.VecVirtual { return s.packed32(q, VPACKSSDW, VPACKSSWB) }

// packed32 is bytes32 with AVX2's instructions to choose, which differ in what numbers fit.
func (s isa) packed32(q []reg.VecVirtual, toWords, toBytes func(...Op)) reg.VecVirtual {
	if s.wide() {
		VPERMT2B(q[1], s.load(lowBytes()), q[0])
		return q[0].AsY().(reg.VecVirtual)
	}
	toWords(q[1], q[0], q[0])
	toWords(q[3], q[2], q[2])
	toBytes(q[2], q[0], q[0])
	VPERMD(q[0], s.load(table("quads", 0, 4, 1, 5, 2, 6, 3, 7)), q[0])
	return q[0]
}

// lowBytes are the indices of the low bytes of the 32 doublewords of two vectors.
func lowBytes() Mem {
	w := make([]uint32, 16)
	for i := range uint32(8) {
		w[i] = 0x0c080400 + 0x10101010*i
	}
	return table("lowBytes", w...)
}

// quants32 cuts off the fractions of 32 floats, bounds the integers by top, and packs them as pack32 and pack32High do.
func (s isa) quants32(dst Mem, high bool, top reg.VecVirtual, value func(j int) reg.VecVirtual) {
	var q []reg.VecVirtual
	for j := 0; j < 32; j += s.lanes {
		x := value(j)
		VCVTTPS2DQ(x, x)
		VPMINSD(top, x, x)
		q = append(q, x)
	}
	if high {
		s.fifthBits(q, dst)
		dst = dst.Offset(4)
		if s.wide() {
			q[0] = s.and(q[0], s.each32(15))
		} else {
			q[0], q[1] = s.and(q[0], s.each32(15)), s.and(q[1], s.each32(15))
		}
	}
	n := len(q) / 2
	for i := range n {
		VPSLLD(Imm(4), q[n+i], q[n+i])
		q[i] = s.or(q[i], q[n+i])
	}
	s.bytes16(q[:n], dst)
}

// fifthBits stores the bits of value 16 of 32 doublewords.
func (s isa) fifthBits(q []reg.VecVirtual, dst Mem) {
	all := GP32()
	for i, v := range q {
		r := GP32()
		if s.wide() {
			k := K()
			VPTESTMD(s.each32(16), v, k)
			KMOVW(k, r)
		} else {
			t := s.vec()
			VPSLLD(Imm(27), v, t)
			VMOVMSKPS(t, r)
		}
		if i == 0 {
			all = r
			continue
		}
		SHLL(Imm(uint64(i*s.lanes)), r)
		ORL(r, all)
	}
	MOVL(all, dst)
}

// bytes16 stores the low bytes of 16 doublewords.
func (s isa) bytes16(q []reg.VecVirtual, dst Mem) {
	x := XMM()
	if s.wide() {
		VPMOVDB(q[0], x)
	} else {
		VPSHUFB(s.load(lowBytesAVX2()), q[0], q[0])
		VPSHUFB(s.load(lowBytesAVX2()), q[1], q[1])
		VPUNPCKLDQ(q[1], q[0], q[0])
		VPERMQ(Imm(0xd8), q[0], q[0])
		VPSHUFD(Imm(0xd8), q[0].AsX(), x)
	}
	VMOVDQU(x, dst)
}

// lowBytesAVX2 gathers the low bytes of the doublewords of each half in its first doubleword.
func lowBytesAVX2() Mem {
	const none = 0x80808080
	return table("lowBytesAVX2", 0x0c080400, none, none, none, 0x0c080400, none, none, none)
}
