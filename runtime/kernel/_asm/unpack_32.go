package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

func init() {
	generators["unpack_32"] = func() {
		unpackQ8_0()
		unpackLookup("Q4_0", 18, 2, func(i int) int { return i - 8 }, halvesAtStart)
		unpackLookup("IQ4_NL", 18, 2, nonLinear4, halvesAtStart)
		unpackLookup("MXFP4", 17, 1, func(i int) int {
			return [16]int{0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12}[i]
		}, exponents)
		unpackLookup("Q4_1", 20, 4, func(i int) int { return i }, scalesAndNegatedMins)
		unpackFive("Q5_0", 22, 2, 16, halvesAtStart)
		unpackFive("Q5_1", 24, 4, 0, scalesAndNegatedMins)
	}
}

func nonLinear4(i int) int {
	return [16]int{-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113}[i]
}

func unpackQ8_0() {
	const size = 34
	unpacker("Q8_0", 8*size, func() func(dst, src reg.Register) {
		sign := eachByte(0x80)
		return func(dst, src reg.Register) {
			var q [4]reg.VecVirtual
			for k := range q {
				y, z := YMM(), ZMM()
				VMOVDQU32(Mem{Base: src, Disp: 2*k*size + 2}, y)
				VINSERTI64X4(Imm(1), Mem{Base: src, Disp: (2*k+1)*size + 2}, y.AsZ(), z)
				VPXORD(sign, z, z)
				q[k] = z
			}
			putQuants(q, natural, dst)
			put(dst, weightScales, halves(src, 0, size))
		}
	})
}

// runs16 is the order of nibbles of 16 bytes a block: low, high, of blocks 0 to 3, then of 4 to 7.
var runs16 = [4][4]int{{0, 2, 4, 6}, {1, 3, 5, 7}, {8, 10, 12, 14}, {9, 11, 13, 15}}

// fourBlocks is 16 bytes of each of four blocks, stride bytes apart.
func fourBlocks(src reg.Register, at, stride int) reg.VecVirtual {
	x := XMM()
	VMOVDQU32(Mem{Base: src, Disp: at}, x)
	z := ZMM()
	VINSERTI32X4(Imm(1), Mem{Base: src, Disp: at + stride}, x.AsZ(), z)
	for b := 2; b < 4; b++ {
		VINSERTI32X4(Imm(uint64(b)), Mem{Base: src, Disp: at + b*stride}, z, z)
	}
	return z
}

// lookup makes what splits bytes into low and high nibbles, as the quants that stand for them.
func lookup(name string, value func(i int) int) func(bytes reg.VecVirtual) (low, high reg.VecVirtual) {
	values := bytesOf(name+"Values", func(i int) byte { return byte(value(i%16) + 128) })
	mask := eachByte(0x0f)
	return func(bytes reg.VecVirtual) (low, high reg.VecVirtual) {
		low, high = ZMM(), ZMM()
		VPSRLW(Imm(4), bytes, high)
		VPANDD(mask, bytes, low)
		VPANDD(mask, high, high)
		VPSHUFB(low, values, low)
		VPSHUFB(high, values, high)
		return low, high
	}
}

// scaling makes what stores the scales, and minima, of blocks of size bytes.
type scaling func(size int) func(dst, src reg.Register)

func halvesAtStart(size int) func(dst, src reg.Register) {
	return func(dst, src reg.Register) {
		put(dst, weightScales, halves(src, 0, size))
	}
}

func scalesAndNegatedMins(size int) func(dst, src reg.Register) {
	sign := lanesOf("sign", func(int) uint32 { return 1 << 31 })
	return func(dst, src reg.Register) {
		put(dst, weightScales, halves(src, 0, size))
		m := halves(src, 2, size)
		VPXORD(sign.AsY(), m, m)
		put(dst, weightMins, m)
	}
}

// exponents stores 2^(e-128), e being a block's first byte.
func exponents(size int) func(dst, src reg.Register) {
	one, two := lanesOf("one", func(int) uint32 { return 1 }), lanesOf("two", func(int) uint32 { return 2 })
	least := lanesOf("subnormal", func(int) uint32 { return 0x00200000 })
	return func(dst, src reg.Register) {
		x, e, small, k := XMM(), ZMM(), ZMM(), K()
		VPXORD(x, x, x)
		for b := range 8 {
			VPINSRB(Imm(uint64(b)), Mem{Base: src, Disp: size * b}, x, x)
		}
		VPMOVZXBD(x, e)
		VPCMPUD(Imm(1), two, e, k) // e < 2
		VPSLLVD(e, least, small)
		VPSUBD(one, e, e)
		VPSLLD(Imm(23), e, e)
		VMOVDQA32(small, k, e)
		put(dst, weightScales, e.AsY())
	}
}

// unpackLookup takes apart blocks of 16 bytes of nibbles at an offset.
func unpackLookup(name string, size, at int, value func(i int) int, scales scaling) {
	unpacker(name, 8*size, func() func(dst, src reg.Register) {
		split, scale := lookup(name, value), scales(size)
		return func(dst, src reg.Register) {
			var q [4]reg.VecVirtual
			for h := range 2 {
				q[2*h], q[2*h+1] = split(fourBlocks(src, at+4*h*size, size))
			}
			putQuants(q, runs16, dst)
			scale(dst, src)
		}
	})
}

// unpackFive takes apart blocks of 32 fifth bits at an offset and 16 bytes of nibbles behind them.
func unpackFive(name string, size, at, zero int, scales scaling) {
	unpacker(name, 8*size, func() func(dst, src reg.Register) {
		split, scale := lookup(name, func(i int) int { return i - zero }), scales(size)
		sixteen := eachByte(16)
		return func(dst, src reg.Register) {
			var q [4]reg.VecVirtual
			for h := range 2 {
				q[2*h], q[2*h+1] = split(fourBlocks(src, at+4+4*h*size, size))
				for k := range 2 { // bits of low nibbles, then of high ones
					x, bits, m := XMM(), GP64(), K()
					VPXORD(x, x, x)
					for b := range 4 {
						VPINSRW(Imm(uint64(b)), Mem{Base: src, Disp: at + 2*k + (4*h+b)*size}, x, x)
					}
					VMOVQ(x, bits)
					KMOVQ(bits, m)
					VPADDB(sixteen, q[2*h+k], m, q[2*h+k])
				}
			}
			putQuants(q, runs16, dst)
			scale(dst, src)
		}
	})
}
