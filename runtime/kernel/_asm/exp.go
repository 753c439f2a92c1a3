package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// constants are float32 and int32 values that instructions broadcast from memory.
type constants struct {
	low, log2e, ln2High, ln2Low, one, abs, bias Mem
	poly                                        []Mem
}

// expConstants: exp(x) = 2^n * exp(r), n = round(x*log2(e)), r = x - n*ln(2) in two parts, so that n*ln2High is exact,
// exp(r) = 1 + r + r*r*poly(r). The polynomial is the minimax one of the Cephes library's expf.
func expConstants() constants {
	table := GLOBL("expConstants", RODATA|NOPTR)
	at := 0
	put := func(v Constant) Mem {
		DATA(at, v)
		at += 4
		return table.Offset(at - 4)
	}
	c := constants{
		low: put(F32(-87.33654)), log2e: put(F32(1.44269504)), ln2High: put(F32(0.693359375)), ln2Low: put(F32(-2.12194440e-4)),
		one: put(F32(1)), abs: put(U32(0x7fffffff)), bias: put(U32(127)),
	}
	for _, v := range []float32{1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1} {
		c.poly = append(c.poly, put(F32(v)))
	}
	return c
}

func broadcast(m Mem) reg.VecVirtual {
	y := YMM()
	VBROADCASTSS(m, y)
	return y
}

// exp replaces x, at most 0, by exp(x): 0 below the smallest normal number, NaN of NaN.
func (c constants) exp(x reg.VecVirtual) {
	low, normal := broadcast(c.low), YMM()
	VCMPPS(Imm(5), low, x, normal) // not less than: true of NaN
	VMAXPS(x, low, x)              // the first operand, x, where one is NaN
	n := YMM()
	VMULPS(broadcast(c.log2e), x, n)
	VROUNDPS(Imm(0), n, n)
	VFNMADD231PS(broadcast(c.ln2High), n, x)
	VFNMADD231PS(broadcast(c.ln2Low), n, x)
	p := broadcast(c.poly[0])
	for _, coeff := range c.poly[1:] {
		VFMADD213PS(broadcast(coeff), x, p)
	}
	square := YMM()
	VMULPS(x, x, square)
	VFMADD213PS(x, square, p)
	VADDPS(broadcast(c.one), p, p)
	VCVTPS2DQ(n, n)
	VPADDD(broadcast(c.bias), n, n)
	VPSLLD(Imm(23), n, n)
	VMULPS(n, p, x)
	VANDPS(normal, x, x)
}

// expSum writes the AVX2 form of expSumGeneric. Lane l of two float64 accumulators sums elements l and l+4 modulo 8.
func expSum(c constants, mask Mem) {
	TEXT("expSumAVX2", NOSPLIT, "func(x *float32, n int, scale, top float32) float64")
	Pragma("noescape")
	Doc("expSumAVX2 is the AVX2 form of expSumGeneric.")
	x, n := Load(Param("x"), GP64()), Load(Param("n"), GP64())
	scale, top := YMM(), YMM()
	VBROADCASTSS(NewParamAddr("scale", 16), scale)
	VBROADCASTSS(NewParamAddr("top", 20), top)
	sum := []reg.VecVirtual{YMM(), YMM()}
	for _, s := range sum {
		VXORPD(s, s, s)
	}
	step := func(v reg.VecVirtual) {
		VSUBPS(top, v, v)
		VMULPS(scale, v, v)
		c.exp(v)
	}
	accumulate := func(v reg.VecVirtual) {
		half, wide := XMM(), YMM()
		VCVTPS2PD(v.AsX(), wide)
		VADDPD(wide, sum[0], sum[0])
		VEXTRACTF128(Imm(1), v, half)
		VCVTPS2PD(half, wide)
		VADDPD(wide, sum[1], sum[1])
	}
	blocks(x, nil, n, func() {
		v := YMM()
		VMOVUPS(Mem{Base: x}, v)
		step(v)
		VMOVUPS(v, Mem{Base: x})
		accumulate(v)
	}, func() {
		m, v := loadMask(n, mask), YMM()
		VMASKMOVPS(Mem{Base: x}, m, v)
		step(v)
		VANDPS(m, v, v)
		VMASKMOVPS(v, m, Mem{Base: x})
		accumulate(v)
	})
	VADDPD(sum[1], sum[0], sum[0])
	high := XMM()
	VEXTRACTF128(Imm(1), sum[0], high)
	VADDPD(high, sum[0].AsX(), high)
	VHADDPD(high, high, high)
	Store(high, ReturnIndex(0))
	VZEROUPPER()
	RET()
}

// silu writes the AVX2 form of siluGeneric: with e = exp(-|g|), g times 1/(1+e), or e/(1+e) below zero, times up.
func silu(c constants, mask Mem) {
	TEXT("siluAVX2", NOSPLIT, "func(gate, up *float32, n int)")
	Pragma("noescape")
	Doc("siluAVX2 is the AVX2 form of siluGeneric.")
	gate, up, n := Load(Param("gate"), GP64()), Load(Param("up"), GP64()), Load(Param("n"), GP64())
	step := func(g, u reg.VecVirtual) {
		e, one, sum := YMM(), broadcast(c.one), YMM()
		VANDPS(broadcast(c.abs), g, e)
		VXORPS(sum, sum, sum)
		VSUBPS(e, sum, e)
		c.exp(e)
		VADDPS(one, e, sum)
		VBLENDVPS(g, e, one, e) // the sign of g chooses
		VDIVPS(sum, e, e)
		VMULPS(e, g, g)
		VMULPS(u, g, g)
	}
	blocks(gate, up, n, func() {
		g, u := YMM(), YMM()
		VMOVUPS(Mem{Base: gate}, g)
		VMOVUPS(Mem{Base: up}, u)
		step(g, u)
		VMOVUPS(g, Mem{Base: gate})
	}, func() {
		m, g, u := loadMask(n, mask), YMM(), YMM()
		VMASKMOVPS(Mem{Base: gate}, m, g)
		VMASKMOVPS(Mem{Base: up}, m, u)
		step(g, u)
		VMASKMOVPS(g, m, Mem{Base: gate})
	})
	VZEROUPPER()
	RET()
}

// blocks runs full for every eight of n elements, moving a and b (which may be nil) on, and tail, with n below 8, for the rest.
func blocks(a, b, n reg.Register, full, tail func()) {
	count := GP64()
	MOVQ(n, count)
	SHRQ(Imm(3), count)
	JZ(LabelRef("tail"))
	Label("loop")
	full()
	ADDQ(Imm(32), a)
	if b != nil {
		ADDQ(Imm(32), b)
	}
	DECQ(count)
	JNZ(LabelRef("loop"))
	Label("tail")
	ANDQ(Imm(7), n)
	JZ(LabelRef("done"))
	tail()
	Label("done")
}
