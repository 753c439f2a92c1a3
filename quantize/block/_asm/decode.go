package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// decode256 writes a decoder of super-blocks, one at a time.
func (s isa) decode256(name string, size int, body func(dst, src reg.GPVirtual)) {
	s.decoder(name, size, 256, func() {}, body)
}

// storeScales writes n integers of 16 as floats times d to m. bytes are 16 signed or unsigned bytes.
func (s isa) storeScales(widen func(from, to Op), bytes Op, d reg.VecVirtual, less uint32, m Mem) {
	for i := 0; i < 16; i += s.lanes {
		v := s.vec()
		from := bytes
		if p, ok := bytes.(Mem); ok {
			from = p.Offset(i)
		} else if i > 0 {
			x := XMM()
			VPSRLDQ(Imm(8), bytes, x)
			from = x
		}
		widen(from, v)
		if less != 0 {
			VPSUBD(s.each32(less), v, v)
		}
		VCVTDQ2PS(v, v)
		s.store(s.mul(v, d), m.Offset(4*i))
	}
}

// small is a table of 2^bits values for VPERMPS, repeated up to the length of a vector: value turns quants less zero into them.
func (s isa) small(bits, zero int, value func(n reg.VecVirtual)) reg.VecVirtual {
	t := s.load(floats(fmt.Sprintf("small%dx%d", bits, zero), func(i int) float32 { return float32(i%(1<<bits) - zero) }))
	value(t)
	return t
}

// permute looks up the low bits of q in a table.
func (s isa) permute(t, q reg.VecVirtual) reg.VecVirtual {
	v := s.vec()
	VPERMPS(t, q, v)
	return v
}

// shifted is v shifted right, or left where n is negative.
func (s isa) shifted(v reg.VecVirtual, n int) reg.VecVirtual {
	if n == 0 {
		return v
	}
	w := s.vec()
	if n > 0 {
		VPSRLD(Imm(uint64(n)), v, w)
	} else {
		VPSLLD(Imm(uint64(-n)), v, w)
	}
	return w
}

// bytesAt are as many bytes as there are lanes, one in each.
func (s isa) bytesAt(m Mem) reg.VecVirtual {
	v := s.vec()
	VPMOVZXBD(m, v)
	return v
}

// replace is a with the bits of mask taken from b.
func (s isa) replace(a, b reg.VecVirtual, mask uint32) reg.VecVirtual {
	if s.wide() {
		v := s.each32(mask)
		VPTERNLOGD(Imm(0xca), a, b, v) // v ? b : a
		return v
	}
	return s.or(s.and(b, s.each32(mask)), s.and(a, s.each32(^mask)))
}
