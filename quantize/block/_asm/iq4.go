package main

import (
	"fmt"

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
	together := 1 // as registers allow
	if s.wide() {
		together = 4
	}
	for j := 0; j < 32; j += together {
		al := make([]reg.VecVirtual, together)
		for i := range al {
			al[i] = s.vec()
			VMULPS(x(j+i), inverse, al[i])
		}
		q := n.positions(al)
		for i := range q {
			q[i] = s.look(values, q[i])
		}
		for i := range q {
			VMULPS(w(j+i), q[i], al[i])
		}
		for i, wq := range al {
			wqx := s.vec()
			VMULPS(x(j+i), wq, wqx)
			VMULPS(q[i], wq, wq)
			VADDPS(wqx, sumqx, sumqx)
			VADDPS(wq, sumq2, sumq2)
		}
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
