package main

import (
	"fmt"
	"math/bits"

	"github.com/mmcloughlin/avo/attr"
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

func init() {
	generators["decode_iq"] = func() {
		for _, s := range isas {
			s.decodeIQ1_S()
			s.decodeIQ1_M()
			s.decodeIQ2_XXS()
			s.decodeIQ2_XS()
			s.decodeIQ2_S()
			s.decodeIQ3_XXS()
			s.decodeIQ3_S()
		}
	}
}

// gridDecoder writes a decoder of super-blocks that hold positions in a grid.
type gridDecoder struct {
	isa
	run             int // weights of a position
	dst, src, words reg.GPVirtual
	shifts, sign    reg.VecVirtual
	rest            []reg.Register // AVX-512: the lanes of a vector's second word, third ...
}

// decodeGrid writes a kernel that gets, beside its places, a word for each position in the grid: the digits of its run of weights,
// four bits each.
func (s isa) decodeGrid(name string, size, run int, body func(g *gridDecoder)) {
	TEXT("decode"+name+s.name, attr.NOSPLIT, "func(dst *float32, src *byte, words *uint32, groups int) (done int)")
	Pragma("noescape")
	Doc(fmt.Sprintf("decode%s%s decodes super-blocks. words are the digits of the grid's points, four bits each; it does them all.", name, s.name))
	g := &gridDecoder{isa: s, run: run, dst: GP64(), src: GP64(), words: GP64()}
	Load(Param("dst"), g.dst)
	Load(Param("src"), g.src)
	Load(Param("words"), g.words)
	g.sign = s.each32(signBit)
	w := make([]uint32, 16)
	for i := range w {
		w[i] = uint32(4 * (i % run))
	}
	g.shifts = s.load(table(fmt.Sprintf("digits%d", run), w...))
	if s.wide() {
		for i := run; i < 16; i += run {
			k, r := K(), GP32()
			MOVL(U32((1<<run-1)<<i), r)
			KMOVW(r, k)
			g.rest = append(g.rest, k)
		}
	}
	eachGroup(g.dst, g.src, 4*256, size, func() { body(g) })
}

// vector writes the weights from the first on, as many as there are lanes. t has the values of digits, position is that of
// the ith point, signs (nil for none) has a set bit for each negative weight.
func (g *gridDecoder) vector(first int, t reg.VecVirtual, position func(i int) reg.GPVirtual, signs reg.GPVirtual) {
	v := g.vec()
	for i := range g.lanes / g.run {
		m := Mem{Base: g.words, Index: position(i).As64(), Scale: 4}
		switch {
		case i == 0:
			VPBROADCASTD(m, v)
		case g.wide():
			VPBROADCASTD(m, g.rest[i-1], v)
		default:
			w := g.vec()
			VPBROADCASTD(m, w)
			VPBLENDD(Imm(0xf0), w, v, v)
		}
	}
	VPSRLVD(g.shifts, v, v)
	v = g.permute(t, v)
	switch {
	case signs == nil:
	case g.wide():
		k := K()
		KMOVW(signs, k)
		VPXORD(g.sign, v, k, v)
	default:
		w := g.vec()
		VMOVD(signs, w.AsX())
		VPBROADCASTD(w.AsX(), w)
		VPSLLVD(g.load(shiftsTo31(0)), w, w)
		v = g.xor(v, g.and(w, g.sign))
	}
	g.store(v, at(g.dst, 4*first))
}

// byteAt is a byte of the block.
func (g *gridDecoder) byteAt(offset int) reg.GPVirtual {
	r := GP32()
	MOVBLZX(at(g.src, offset), r)
	return r
}

// wordAt are two bytes of the block.
func (g *gridDecoder) wordAt(offset int) reg.GPVirtual {
	r := GP32()
	MOVWLZX(at(g.src, offset), r)
	return r
}

// field are n bits of v, left shifted.
func field(v reg.GPVirtual, from, n, left int) reg.GPVirtual {
	r := GP32()
	MOVL(v, r)
	if from > 0 {
		SHRL(Imm(uint64(from)), r)
	}
	if from+n < 32 {
		ANDL(U32(1<<n-1), r)
	}
	if left > 0 {
		SHLL(Imm(uint64(left)), r)
	}
	return r
}

// with is a|b, in a.
func with(a, b reg.GPVirtual) reg.GPVirtual {
	ORL(b, a)
	return a
}

// signsAt are the signs of a vector of weights, as bytes of the block.
func (g *gridDecoder) signsAt(offset int) reg.GPVirtual {
	if g.wide() {
		return g.wordAt(offset)
	}
	return g.byteAt(offset)
}

// evenSigns are the signs of a vector of weights of which seven in eight are stored: part(i) has those of the ith eight.
func (g *gridDecoder) evenSigns(part func(i int) reg.GPVirtual) reg.GPVirtual {
	b := make([]byte, 128)
	for i := range b {
		b[i] = byte(i | bits.OnesCount(uint(i))%2<<7)
	}
	p := GP64()
	LEAQ(bytesTable("evenSigns", b), p)
	all := part(0)
	MOVBLZX(Mem{Base: p, Index: all.As64(), Scale: 1}, all)
	if g.wide() {
		r := part(1)
		MOVBLZX(Mem{Base: p, Index: r.As64(), Scale: 1}, r)
		SHLL(Imm(8), r)
		ORL(r, all)
	}
	return all
}

// eachLane is an integer in all lanes, as floats.
func (g *gridDecoder) eachLane(l reg.GPVirtual) reg.VecVirtual {
	v := g.vec()
	VMOVD(l, v.AsX())
	VPBROADCASTD(v.AsX(), v)
	VCVTDQ2PS(v, v)
	return v
}

// odd is the table of values times d*(2l+1).
func (g *gridDecoder) odd(d reg.VecVirtual, l reg.GPVirtual, values Mem) reg.VecVirtual {
	LEAL(Mem{Base: l.As64(), Index: l.As64(), Scale: 1, Disp: 1}, l)
	return g.mul(g.mul(g.eachLane(l), d), values)
}

// halfOf is the table of values times d*(l+0.5)*by.
func (g *gridDecoder) halfOf(d reg.VecVirtual, l reg.GPVirtual, by float32, values Mem) reg.VecVirtual {
	v := g.mul(g.add(g.eachLane(l), g.eachF32(0.5)), d)
	return g.mul(g.mul(v, g.eachF32(by)), values)
}

// valuesOf is a table of eight values, twice.
func valuesOf(name string, v ...float32) Mem {
	return floats(name, func(i int) float32 { return v[i%8] })
}

// valuesIQ1 are the values of digits of IQ1, then those of digits that are shifted down.
func valuesIQ1() Mem {
	return valuesOf("valuesIQ1", -1+0.125, 0.125, 1+0.125, 0, -1-0.125, -0.125, 1-0.125, 0)
}

func (s isa) decodeIQ1_S() {
	const high = 2 + 32
	s.decodeGrid("IQ1_S", high+16, 8, func(g *gridDecoder) {
		d := s.half(at(g.src, 0))
		for i := range 8 {
			h := g.wordAt(high + 2*i)
			t := g.odd(d, field(h, 12, 3, 0), valuesIQ1())
			down := field(h, 15, 1, 11)
			for k := 0; k < 4; k += s.lanes / 8 {
				g.vector(32*i+8*k, t, func(j int) reg.GPVirtual {
					return with(with(g.byteAt(2+4*i+k+j), field(h, 3*(k+j), 3, 8)), down)
				}, nil)
			}
		}
	})
}

func (s isa) decodeIQ1_M() {
	const high, scales = 32, 32 + 16
	s.decodeGrid("IQ1_M", scales+8, 8, func(g *gridDecoder) {
		h := GP32()
		XORL(h, h)
		for i := range 4 {
			h = with(h, field(g.wordAt(scales+2*i), 12, 4, 4*i))
		}
		d := s.vec()
		VMOVD(h, d.AsX())
		VCVTPH2PS(d.AsX(), d.AsX())
		VBROADCASTSS(d.AsX(), d)
		for run := range 16 {
			t := g.odd(d, field(g.wordAt(scales+run/4*2), run%4*3, 3, 0), valuesIQ1())
			upper := g.byteAt(high + run)
			for k := 0; k < 2; k += s.lanes / 8 {
				g.vector(16*run+8*k, t, func(j int) reg.GPVirtual {
					return with(g.byteAt(2*run+k+j), field(upper, 4*(k+j), 4, 8))
				}, nil)
			}
		}
	})
}

func valuesIQ2() Mem { return valuesOf("valuesIQ2", 8, 25, 43, 0, 0, 0, 0, 0) }

func (s isa) decodeIQ2_XXS() {
	s.decodeGrid("IQ2_XXS", 2+64, 8, func(g *gridDecoder) {
		d := s.half(at(g.src, 0))
		for i := range 8 {
			signs := GP32()
			MOVL(at(g.src, 2+8*i+4), signs)
			t := g.halfOf(d, field(signs, 28, 4, 0), 0.25, valuesIQ2())
			for k := 0; k < 4; k += s.lanes / 8 {
				g.vector(32*i+8*k, t, func(j int) reg.GPVirtual { return g.byteAt(2 + 8*i + k + j) },
					g.evenSigns(func(j int) reg.GPVirtual { return field(signs, 7*(k+j), 7, 0) }))
			}
		}
	})
}

func (s isa) decodeIQ2_XS() {
	const scales = 2 + 64
	s.decodeGrid("IQ2_XS", scales+8, 8, func(g *gridDecoder) {
		d := s.half(at(g.src, 0))
		for run := range 16 {
			t := g.halfOf(d, field(g.byteAt(scales+run/2), run%2*4, 4, 0), 0.25, valuesIQ2())
			for k := 0; k < 2; k += s.lanes / 8 {
				q := []reg.GPVirtual{g.wordAt(2 + 4*run + 2*k), g.wordAt(2 + 4*run + 2*k + 2)}
				g.vector(16*run+8*k, t, func(j int) reg.GPVirtual { return field(q[j], 0, 9, 0) },
					g.evenSigns(func(j int) reg.GPVirtual { return field(q[j], 9, 7, 0) }))
			}
		}
	})
}

func (s isa) decodeIQ2_S() {
	const signs, high, scales = 2 + 32, 2 + 64, 2 + 72
	s.decodeGrid("IQ2_S", scales+8, 8, func(g *gridDecoder) {
		d := s.half(at(g.src, 0))
		for run := range 16 {
			t := g.halfOf(d, field(g.byteAt(scales+run/2), run%2*4, 4, 0), 0.25, valuesIQ2())
			upper := g.byteAt(high + run/2)
			for k := 0; k < 2; k += s.lanes / 8 {
				g.vector(16*run+8*k, t, func(j int) reg.GPVirtual {
					return with(g.byteAt(2+2*run+k+j), field(upper, (2*run+k+j)%4*2, 2, 8))
				}, g.signsAt(signs+2*run+k))
			}
		}
	})
}

func (s isa) decodeIQ3_XXS() {
	const words = 2 + 64
	levels := valuesOf("levelsIQ3_XXS", 4, 12, 20, 28, 36, 44, 52, 62)
	s.decodeGrid("IQ3_XXS", words+32, 4, func(g *gridDecoder) {
		d := s.half(at(g.src, 0))
		for i := range 8 {
			signs := GP32()
			MOVL(at(g.src, words+4*i), signs)
			t := g.halfOf(d, field(signs, 28, 4, 0), 0.5, levels)
			for k := 0; k < 8; k += s.lanes / 4 {
				g.vector(32*i+4*k, t, func(j int) reg.GPVirtual { return g.byteAt(2 + 8*i + k + j) },
					g.evenSigns(func(j int) reg.GPVirtual { return field(signs, 7*(k/2+j), 7, 0) }))
			}
		}
	})
}

func (s isa) decodeIQ3_S() {
	const high, signs, scales = 2 + 64, 2 + 64 + 8, 2 + 64 + 8 + 32
	levels := valuesOf("levelsIQ3_S", 1, 3, 5, 7, 9, 11, 13, 15)
	s.decodeGrid("IQ3_S", scales+4, 4, func(g *gridDecoder) {
		d := s.half(at(g.src, 0))
		for i := range 8 {
			t := g.odd(d, field(g.byteAt(scales+i/2), i%2*4, 4, 0), levels)
			upper := g.byteAt(high + i)
			for k := 0; k < 8; k += s.lanes / 4 {
				g.vector(32*i+4*k, t, func(j int) reg.GPVirtual {
					return with(g.byteAt(2+8*i+k+j), field(upper, k+j, 1, 8))
				}, g.signsAt(signs+4*i+k/2))
			}
		}
	})
}
