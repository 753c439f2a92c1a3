package main

import (
	"fmt"
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

func init() {
	generators["iq4"] = func() {
		for _, s := range isas {
			s.fitIQ4(false)
			s.fitIQ4(true)
			s.packIQ4()
			s.unpackIQ4()
		}
	}
}

var (
	valuesIQ4  = []float32{-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113}
	middlesIQ4 = []float32{-115.5, -93.5, -74, -57, -42, -28.5, -16, -4.5, 7, 19, 31.5, 45.5, 61, 79, 101}
)

// iq4 finds nearest values. A line through the values gives a position that is at most one too low, which a look at the
// middle above tells. With AVX-512 positions are -2 to 17 modulo 32, for all floats up to 139, and those of the first two
// values are -1 and 1: 0 is always too low. With AVX2 they are 0 to 15, and floats are clamped.
type iq4 struct {
	isa
	slope, offset, magic, one reg.VecVirtual
	middles                   [2]reg.VecVirtual
}

func (s isa) iq4() *iq4 {
	n := &iq4{isa: s, slope: s.eachF32(1 / 14.5)}
	inf := float32(math.Inf(1))
	if !s.wide() {
		n.offset = s.eachF32(8 - 1.75/14.5)
		n.middles = s.pair("middlesIQ4", floatBits(append(middlesIQ4[:15:15], inf)))
		return n
	}
	n.offset, n.magic, n.one = s.eachF32(7.5-1.75/14.5), s.eachF32(3<<22), s.each32(1)
	m := append([]float32{-inf}, middlesIQ4[1:]...)
	for len(m) < 31 {
		m = append(m, inf)
	}
	n.middles = s.pair("middlesIQ4", floatBits(append(m, middlesIQ4[0])))
	return n
}

// byPosition arranges what belongs to the 16 values by position.
func (s isa) byPosition(of []uint32) []uint32 {
	if !s.wide() {
		return of
	}
	out := append([]uint32{of[1]}, of[1:]...)
	for len(out) < 30 {
		out = append(out, of[15])
	}
	return append(out, of[0], of[0])
}

func floatBits(f []float32) []uint32 {
	out := make([]uint32, len(f))
	for i, v := range f {
		out[i] = math.Float32bits(v)
	}
	return out
}

// pair is a table of as many words as two vectors have.
func (s isa) pair(name string, words []uint32) [2]reg.VecVirtual {
	m := table(name+s.name, words...)
	return [2]reg.VecVirtual{s.load(m), s.load(m.Offset(s.bytes()))}
}

// look reads a table at positions. It may leave the result in these.
func (s isa) look(t [2]reg.VecVirtual, position reg.VecVirtual) reg.VecVirtual {
	if s.wide() {
		VPERMI2PS(t[1], t[0], position)
		return position
	}
	lo, hi, fourth := s.vec(), s.vec(), s.vec()
	VPSLLD(Imm(28), position, fourth)
	VPERMPS(t[0], position, lo)
	VPERMPS(t[1], position, hi)
	VBLENDVPS(fourth, hi, lo, lo)
	return lo
}

// position is that of the value nearest to x.
func (n *iq4) position(x reg.VecVirtual) reg.VecVirtual {
	p := n.vec()
	if n.wide() {
		VMOVAPS(n.offset, p)
		VFMADD231PS(n.slope, x, p)
		VADDPS(n.magic, p, p)
		m := n.vec()
		VMOVAPS(p, m)
		low := n.compare(cmpGE, x, n.look(n.middles, m))
		VPADDD(n.one, p, low, p)
		return p
	}
	x = n.clamp(x)
	VMOVAPS(n.offset, p)
	VFMADD231PS(n.slope, x, p)
	VCVTTPS2DQ(p, p)
	low := n.compare(cmpGE, x, n.look(n.middles, p))
	VPSUBD(low, p, p)
	return p
}

// clamp is x between the least and the greatest value; the latter for NaN.
func (n *iq4) clamp(x reg.VecVirtual) reg.VecVirtual {
	v := n.vec()
	VMINPS(n.everyF32(113), x, v)
	VMAXPS(n.everyF32(-127), v, v)
	return v
}

// fitIQ4 writes a kernel that finds scales as the portable fitIQ4 does, a lane for each block of 32.
func (s isa) fitIQ4(weighted bool) {
	name, args := "fitIQ4", "scales, src *float32, groups int"
	if weighted {
		name, args = "fitIQ4Weighted", "scales, src, importance, sigma2 *float32, groups int"
	}
	TEXT(name+s.name, 0, "func("+args+")")
	Pragma("noescape")
	Doc(fmt.Sprintf("%s%s finds the scales of groups of %d blocks of 32 values.", name, s.name, s.lanes))
	scales, src, importance, sigma2, groups := GP64(), GP64(), GP64(), GP64(), GP64()
	Load(Param("scales"), scales)
	Load(Param("src"), src)
	if weighted {
		Load(Param("importance"), importance)
		Load(Param("sigma2"), sigma2)
	}
	Load(Param("groups"), groups)
	frame := s.local(68)
	x, w := frame, func(j int) Mem { return frame(32 + j) }

	Label("group")
	top, scale, best, steps := frame(64), frame(65), frame(66), frame(67)
	inverse, trial := s.vec(), GP64()
	t := s.transposeIQ4(src, importance, sigma2, x, w, weighted)
	s.store(t, top)
	VDIVPS(s.eachF32(127), t, inverse)
	VDIVPS(inverse, s.eachF32(1), inverse)
	s.store(s.eachF32(-127-7), steps)
	XORQ(trial, trial)
	n := s.iq4()
	values := s.pair("valuesIQ4", s.byPosition(floatBits(valuesIQ4)))

	Label("trial")
	sumqx, sumq2 := s.zero(), s.zero()
	for j := range 32 {
		al, wq, t := s.vec(), s.vec(), s.vec()
		VMULPS(x(j), inverse, al)
		q := s.look(values, n.position(al))
		VMULPS(w(j), q, wq)
		VMULPS(x(j), wq, t)
		VADDPS(t, sumqx, sumqx)
		VMULPS(q, wq, t)
		VADDPS(t, sumq2, sumq2)
	}
	zero, quotient := s.zero(), s.vec()
	VDIVPS(sumq2, sumqx, quotient)
	positive := s.compare(cmpGT, sumq2, zero)
	TESTQ(trial, trial)
	JNZ(LabelRef("later"))
	first := s.only(positive, quotient)
	s.store(first, scale)
	VMULPS(sumqx, first, first)
	s.store(first, best)
	JMP(LabelRef("next"))

	Label("later")
	square, bar := s.vec(), s.vec()
	VMULPS(sumqx, sumqx, square)
	VMULPS(best, sumq2, bar)
	better := s.both(positive, s.compare(cmpGT, square, bar))
	for _, at := range []Mem{scale, best} {
		v := s.load(at)
		s.set(better, quotient, v)
		s.store(v, at)
		VMULPS(sumqx, quotient, quotient)
	}

	Label("next")
	step := s.load(steps)
	VDIVPS(top, step, inverse)
	VADDPS(s.eachF32(1), step, step)
	s.store(step, steps)
	INCQ(trial)
	CMPQ(trial, Imm(16))
	JLT(LabelRef("trial"))

	const tiny = 1e-15
	large := s.compare(cmpGE, s.abs(s.load(top)), s.eachF32(tiny))
	s.store(s.only(large, s.load(scale)), at(scales, 0))
	ADDQ(U32(s.bytes()), scales)
	ADDQ(U32(32*s.bytes()), src)
	if weighted {
		ADDQ(U32(32*s.bytes()), importance)
		ADDQ(U32(s.bytes()), sigma2)
	}
	DECQ(groups)
	JNZ(LabelRef("group"))
	VZEROUPPER()
	RET()
}

// transposeIQ4 writes the values of as many blocks as there are lanes to x and their weights to w, a vector for each
// position, and returns the first values of largest magnitude.
func (s isa) transposeIQ4(src, importance, sigma2 reg.GPVirtual, x, w func(int) Mem, weighted bool) reg.VecVirtual {
	top, amax := s.zero(), s.zero()
	var sigma reg.VecVirtual
	if weighted {
		sigma = s.load(at(sigma2, 0))
	}
	magnitude := s.each32(0x7fffffff)
	for j := 0; j < 32; j += 4 {
		of := func(p reg.GPVirtual) [4]reg.VecVirtual {
			return s.columns(func(r int) Mem { return at(p, r*blockBytes+4*j) })
		}
		for i, v := range of(src) {
			s.store(v, x(j+i))
			a := s.and(v, magnitude)
			s.set(s.compare(cmpGT, a, amax), v, top)
			VMAXPS(a, amax, amax)
			VMULPS(v, v, v)
			if weighted {
				VADDPS(v, sigma, v)
				VSQRTPS(v, v)
			}
			s.store(v, w(j+i))
		}
		if weighted {
			for i, v := range of(importance) {
				VMULPS(w(j+i), v, v)
				s.store(v, w(j+i))
			}
		}
	}
	return top
}

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
