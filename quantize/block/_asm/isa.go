package main

import (
	"fmt"
	"math"

	"github.com/mmcloughlin/avo/attr"
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// isa is an instruction set to write a kernel for.
type isa struct {
	name  string // as the kernels' names end
	lanes int    // float32s in a vector
}

var isas = []isa{{"AVX512", 16}, {"AVX2", 8}}

// wide reports whether vectors have 512 bits, with masks and all that comes with them.
func (s isa) wide() bool { return s.lanes == 16 }

// bytes is the size of a vector.
func (s isa) bytes() int { return 4 * s.lanes }

// vec is a new vector.
func (s isa) vec() reg.VecVirtual {
	if s.wide() {
		return ZMM()
	}
	return YMM()
}

// each32 is a vector of the same 32 bits in all lanes.
func (s isa) each32(bits uint32) reg.VecVirtual {
	v := s.vec()
	VBROADCASTSS(const32(bits), v)
	return v
}

// eachF32 is each32 of a float.
func (s isa) eachF32(f float32) reg.VecVirtual { return s.each32(math.Float32bits(f)) }

// const32 is a place in memory that holds these bits.
func const32(bits uint32) Mem {
	return table(fmt.Sprintf("bits_%08x", bits), bits)
}

var tables = map[string]Mem{}

// table is a constant table; equal names are the same one.
func table(name string, words ...uint32) Mem {
	m, ok := tables[name]
	if !ok {
		m = GLOBL(name, attr.RODATA|attr.NOPTR)
		for i, w := range words {
			DATA(4*i, U32(w))
		}
		tables[name] = m
	}
	return m
}

// load is a vector from memory.
func (s isa) load(m Mem) reg.VecVirtual {
	v := s.vec()
	VMOVUPS(m, v)
	return v
}

func (s isa) store(v reg.VecVirtual, m Mem) { VMOVUPS(v, m) }

func (s isa) broadcast(m Mem) reg.VecVirtual {
	v := s.vec()
	VBROADCASTSS(m, v)
	return v
}

// and is a&b, of any lanes.
func (s isa) and(a, b Op) reg.VecVirtual {
	v := s.vec()
	if s.wide() {
		VPANDD(a, b, v)
	} else {
		VPAND(a, b, v)
	}
	return v
}

func (s isa) or(a, b Op) reg.VecVirtual {
	v := s.vec()
	if s.wide() {
		VPORD(a, b, v)
	} else {
		VPOR(a, b, v)
	}
	return v
}

func (s isa) xor(a, b Op) reg.VecVirtual {
	v := s.vec()
	if s.wide() {
		VPXORD(a, b, v)
	} else {
		VPXOR(a, b, v)
	}
	return v
}

// Predicates of VCMPPS that are false of NaNs and do not signal.
const (
	cmpEQ  = 0x00
	cmpLT  = 0x11
	cmpLE  = 0x12
	cmpNEQ = 0x0c
	cmpGE  = 0x1d
	cmpGT  = 0x1e
)

// mask is the outcome of a comparison: a mask register of AVX-512, or a vector of lanes of all ones and zeros.
type mask struct{ reg.Register }

// compare is a mask of the lanes where the predicate holds between a and b.
func (s isa) compare(predicate uint8, a reg.VecVirtual, b Op) mask {
	var m mask
	if s.wide() {
		m.Register = K()
	} else {
		m.Register = s.vec()
	}
	VCMPPS(Imm(uint64(predicate)), b, a, m)
	return m
}

// both is the mask of lanes in a and b.
func (s isa) both(a, b mask) mask {
	if s.wide() {
		m := mask{K()}
		KANDW(b, a, m)
		return m
	}
	return mask{s.and(a, b)}
}

// bits copies a mask to the low bits of a register.
func (s isa) bits(m mask) reg.GPVirtual {
	r := GP32()
	if s.wide() {
		KMOVW(m, r)
	} else {
		VMOVMSKPS(m, r)
	}
	return r
}

// jumpAny jumps if the mask has any lanes.
func (s isa) jumpAny(m mask, label string) {
	if s.wide() {
		KORTESTW(m, m)
	} else {
		r := s.bits(m)
		TESTL(r, r)
	}
	JNE(LabelRef(label))
}

// jumpIf jumps if the predicate holds between any lanes of a and b.
func (s isa) jumpIf(predicate uint8, a reg.VecVirtual, b Op, label string) {
	s.jumpAny(s.compare(predicate, a, b), label)
}

// choose is a in the lanes of m, b in the others.
func (s isa) choose(m mask, a, b reg.VecVirtual) reg.VecVirtual {
	v := s.vec()
	if s.wide() {
		VBLENDMPS(a, b, m, v)
	} else {
		VBLENDVPS(m, a, b, v)
	}
	return v
}

// only is a in the lanes of m, 0 in the others.
func (s isa) only(m mask, a reg.VecVirtual) reg.VecVirtual {
	if s.wide() {
		v := s.vec()
		VMOVAPS_Z(a, m, v)
		return v
	}
	return s.and(m, a)
}

// abs is the magnitude of a.
func (s isa) abs(a Op) reg.VecVirtual { return s.and(a, s.each32(0x7fffffff)) }

// maxAbs is the larger magnitude of a and b, which may be that of either where they are equal.
func (s isa) maxAbs(a, b reg.VecVirtual) reg.VecVirtual {
	v := s.vec()
	if s.wide() {
		VRANGEPS(Imm(0x0b), b, a, v)
		return v
	}
	VMAXPS(s.abs(a), s.abs(b), v)
	return v
}

// at is the memory n bytes behind p.
func at(p reg.Register, n int) Mem { return Mem{Base: p, Disp: n} }

// eachGroup writes a kernel's loop over groups of blocks: body works on one group at a and b, which then move on by this
// many bytes. A body may jump to "end"; the kernel returns the number of groups done before.
func eachGroup(a, b reg.GPVirtual, stepA, stepB int, body func()) {
	groups, done := GP64(), GP64()
	Load(Param("groups"), groups)
	XORQ(done, done)
	JMP(LabelRef("test"))
	Label("group")
	body()
	ADDQ(U32(stepA), a)
	if stepB > 0 {
		ADDQ(U32(stepB), b)
	}
	INCQ(done)
	Label("test")
	CMPQ(done, groups)
	JLT(LabelRef("group"))
	Label("end")
	VZEROUPPER()
	Store(done, ReturnIndex(0))
	RET()
}

// encoder writes an encode kernel: body gets the places of a group's bytes and floats.
func (s isa) encoder(name string, groupBytes, groupFloats int, setup func(), body func(dst, src reg.GPVirtual)) {
	TEXT("encode"+name+s.name, NOSPLIT, "func(dst *byte, src *float32, groups int) (done int)")
	Pragma("noescape")
	Doc(fmt.Sprintf("encode%s%s encodes groups of %d values and returns how many it did before one that it leaves to the portable form.", name, s.name, groupFloats))
	dst, src := GP64(), GP64()
	Load(Param("dst"), dst)
	Load(Param("src"), src)
	setup()
	eachGroup(dst, src, groupBytes, 4*groupFloats, func() { body(dst, src) })
}

// decoder writes a decode kernel.
func (s isa) decoder(name string, groupBytes, groupFloats int, setup func(), body func(dst, src reg.GPVirtual)) {
	TEXT("decode"+name+s.name, NOSPLIT, "func(dst *float32, src *byte, groups int) (done int)")
	Pragma("noescape")
	Doc(fmt.Sprintf("decode%s%s decodes groups of %d values; it does them all.", name, s.name, groupFloats))
	dst, src := GP64(), GP64()
	Load(Param("dst"), dst)
	Load(Param("src"), src)
	setup()
	eachGroup(dst, src, 4*groupFloats, groupBytes, func() { body(dst, src) })
}
