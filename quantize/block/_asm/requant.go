package main

import (
	"github.com/mmcloughlin/avo/attr"
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

func init() {
	generators["requant"] = func() {
		for _, s := range isas {
			requant{s, "Q4_K", 15, 32, 144}.generate(func(r requant, p requantPointers) { r.nibbles(p, 16, nil) })
			requant{s, "Q5_K", 31, 32, 176}.generate(requant.fiveBits)
			requant{s, "Q2_K", 3, 16, 84}.generate(requant.pairs)
		}
	}
}

// requant generates the last step of a type with scales and mins: the quants under the rounded scales, packed.
type requant struct {
	isa
	typ  string
	top  int // the largest quant
	n    int // elements of a group
	size int // of the encoded super-block
}

// Layout of minFits, continued.
const (
	fitD = 1024 * (iota + 5)
	fitM
)

// requantPointers are the pointers to a super-block: encoded, its elements, and the first of its groups in minFits.
type requantPointers struct{ dst, src, fits reg.GPVirtual }

func (r requant) generate(block func(requant, requantPointers)) {
	TEXT("requant"+r.typ+r.name, attr.NOSPLIT, "func(dst *byte, src, f *float32, n int)")
	Pragma("noescape")
	Doc("requant" + r.typ + r.name + " writes the quants of n super-blocks whose scales and mins are rounded.")
	p := requantPointers{Load(Param("dst"), GP64()).(reg.GPVirtual), Load(Param("src"), GP64()).(reg.GPVirtual), Load(Param("f"), GP64()).(reg.GPVirtual)}
	n := Load(Param("n"), GP64()).(reg.GPVirtual)
	l := label("block")
	Label(l)
	block(r, p)
	ADDQ(U32(r.size), p.dst)
	ADDQ(U32(1024), p.src)
	ADDQ(U8(4*256/r.n), p.fits)
	DECQ(n)
	JNZ(LabelRef(l))
	VZEROUPPER()
	RET()
}

// quants are those of group g, as 32-bit integers: nearest((x+m)/d) or, where d is 0, as the group was fitted.
func (r requant) quants(p requantPointers, g int) []reg.VecVirtual {
	field := func(off int) Mem { return Mem{Base: p.fits, Disp: off + 4*g} }
	q := make([]reg.VecVirtual, r.n/r.lanes)
	for i := range q {
		q[i] = r.load(Mem{Base: p.src, Disp: 4 * (g*r.n + i*r.lanes)})
	}
	fitted, done := label("fitted"), label("fit")
	bits := GP32()
	MOVL(field(fitD), bits)
	ADDL(bits, bits) // without the sign
	JZ(LabelRef(fitted))
	d, m := r.broadcast(field(fitD)), r.broadcast(field(fitM))
	for _, v := range q {
		VADDPS(m, v, v)
		VDIVPS(d, v, v)
	}
	JMP(LabelRef(done))
	Label(fitted)
	inverse, at := r.broadcast(field(fitInverse)), r.broadcast(field(fitAt))
	for _, v := range q {
		VSUBPS(at, v, v)
		VMULPS(inverse, v, v)
	}
	Label(done)
	magic, low, bias, zero, top := r.eachF32(12582912), r.each32(0x7fffff), r.each32(0x400000), r.zero(), r.each32(uint32(r.top))
	for _, v := range q { // nearestInt
		VADDPS(magic, v, v)
		VANDPS(low, v, v)
		VPSUBD(bias, v, v)
		VPMAXSD(zero, v, v)
		VPMINSD(top, v, v)
	}
	return q
}

// storeBytes writes the low bytes of 32-bit integers below 256.
func (s isa) storeBytes(q []reg.VecVirtual, m Mem) {
	if s.wide() {
		for i, v := range q {
			VPMOVDB(v, m.Offset(16*i))
		}
		return
	}
	if len(q) == 1 {
		high := XMM()
		VEXTRACTI128(U8(1), q[0], high)
		VPACKUSDW(high, q[0].AsX(), high)
		VPACKUSWB(high, high, high)
		VMOVQ(high, m)
		return
	}
	order := table("order", 0, 4, 1, 5, 2, 6, 3, 7)
	a, b := s.op(VPACKUSDW, q[0], q[1]), s.op(VPACKUSDW, q[2], q[3])
	VPACKUSWB(b, a, a)
	VPERMD(a, s.load(order), a)
	VMOVDQU(a, m)
}

// nibbles packs each run of 32 quants and the next one in the low and high halves of 32 bytes, from byte off of the
// encoded super-block on; high gets the quants, run by run, before bits above the fourth are cut off.
func (r requant) nibbles(p requantPointers, off int, high func(run int, q []reg.VecVirtual)) {
	for pair := range 4 {
		lo, hi := r.quants(p, 2*pair), r.quants(p, 2*pair+1)
		if high != nil {
			high(2*pair, lo)
			high(2*pair+1, hi)
		}
		for i, v := range hi {
			VPSLLD(U8(4), v, v)
			VORPS(v, lo[i], lo[i])
		}
		r.storeBytes(lo, Mem{Base: p.dst, Disp: off + 32*pair})
	}
}

// fiveBits packs nibbles, and the fifth bits: bit r of byte i belongs to element i of run r.
func (r requant) fiveBits(p requantPointers) {
	fifth := make([]reg.VecVirtual, 32/r.lanes)
	for i := range fifth {
		fifth[i] = r.zero()
	}
	four, one := r.each32(15), r.each32(16)
	r.nibbles(p, 48, func(run int, q []reg.VecVirtual) {
		for i, v := range q {
			b := r.op(VANDPS, v, one)
			if run < 4 {
				VPSRLD(U8(4-run), b, b)
			} else {
				VPSLLD(U8(run-4), b, b)
			}
			VORPS(b, fifth[i], fifth[i])
			VANDPS(four, v, v)
		}
	})
	r.storeBytes(fifth, Mem{Base: p.dst, Disp: 16})
}

// pairs packs each half of the super-block as four runs of 32 that share 32 bytes, two bits each.
func (r requant) pairs(p requantPointers) {
	for half := range 2 {
		var bytes []reg.VecVirtual
		for run := range 4 {
			g := 8*half + 2*run
			q := append(r.quants(p, g), r.quants(p, g+1)...)
			if run == 0 {
				bytes = q
				continue
			}
			for i, v := range q {
				VPSLLD(U8(2*run), v, v)
				VORPS(v, bytes[i], bytes[i])
			}
		}
		r.storeBytes(bytes, Mem{Base: p.dst, Disp: 16 + 32*half})
	}
}
