package main

import (
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

func init() {
	generators["weighted32"] = func() {
		for _, s := range isas {
			weighted32{isa: s, name: "Q4_0", size: 18, top: 15}.generate()
			weighted32{isa: s, name: "Q5_0", size: 22, top: 31}.generate()
			weighted32{isa: s, name: "Q4_1", size: 20, top: 15, min: true}.generate()
			weighted32{isa: s, name: "Q5_1", size: 24, top: 31, min: true}.generate()
		}
	}
}

// weighted32 generates the last step of blocks of 32 under importance: scales, mins and quants as they were fitted.
type weighted32 struct {
	isa
	name string
	size int // of an encoded block
	top  int // the largest quant
	min  bool
}

func (w weighted32) generate() {
	params := "scale, inverse"
	if w.min {
		params += ", min, at"
	}
	TEXT("finish"+w.name+w.isa.name, NOSPLIT, "func(dst *byte, x, "+params+" *float32, blocks int) (left uint)")
	Pragma("noescape")
	Doc("finish"+w.name+w.isa.name+" encodes up to 16 blocks, whose fits are given side by side, and returns a bit for each that is left to the",
		"portable form; of 16, always.")
	pointer := func(name string) reg.GPVirtual { return Load(Param(name), GP64()).(reg.GPVirtual) }
	dst, x, scale, inverse, blocks := pointer("dst"), pointer("x"), pointer("scale"), pointer("inverse"), pointer("blocks")
	var low, least reg.GPVirtual
	left := GP64()
	halves := AllocLocal(64)
	XORQ(left, left)
	w.halves(scale, halves, false, left)
	if w.min {
		low, least = pointer("min"), pointer("at")
		w.halves(low, halves.Offset(32), true, left)
	}
	top, offset, zero, i := w.each32(uint32(w.top)), w.eachF32(float32(w.top+1)/2), w.zero(), GP64()
	XORQ(i, i)
	l := label("block")
	Label(l)
	copy16(halves.Idx(i, 2), at(dst, 0))
	quants := 2
	id := w.broadcast(Mem{Base: inverse, Index: i, Scale: 4})
	var from reg.VecVirtual
	if w.min {
		copy16(halves.Offset(32).Idx(i, 2), at(dst, 2))
		quants = 4
		from = w.broadcast(Mem{Base: least, Index: i, Scale: 4})
	} else { // blocks of zeros have quants of 0, not those of zero
		from = w.only(w.compare(cmpNEQ, id, zero), offset)
	}
	w.quants32(at(dst, quants), w.top > 15, top, func(j int) reg.VecVirtual {
		v := w.load(at(x, 4*j))
		if w.min {
			VSUBPS(from, v, v)
		}
		VMULPS(id, v, v)
		w.round(v)
		if !w.min {
			VADDPS(from, v, v)
		}
		return w.max(v, zero)
	})
	ADDQ(U8(w.size), dst)
	ADDQ(U32(blockBytes), x)
	INCQ(i)
	CMPQ(i, blocks)
	JLT(LabelRef(l))
	VZEROUPPER()
	Store(left, ReturnIndex(0))
	RET()
}

// halves rounds 16 floats to halves, or what they are below zero, and adds bits to left where that is not finite.
func (w weighted32) halves(from reg.GPVirtual, to Mem, minus bool, left reg.GPVirtual) {
	for first := 0; first < 16; first += w.lanes {
		v := w.load(at(from, 4*first))
		if minus {
			v = w.xor(v, w.each32(signBit))
		}
		bits := w.bits(w.compare(cmpNLE, w.abs(v), w.eachF32(math.Nextafter32(f16Limit, 0))))
		if first > 0 {
			SHLL(U8(first), bits)
		}
		ORQ(bits.As64(), left)
		VCVTPS2PH(U8(0), v, to.Offset(2*first))
	}
}
