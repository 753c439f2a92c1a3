package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// and or: the logic tables of VPTERNLOGD, of operands c, b, a.
const (
	andOr = 0xea // a&b | c, with a the destination
)

// runs64 is the order of nibbles of 64 bytes that are two runs of 32: low, high, and the same again.
var runs64 = [4][4]int{{0, 1, 4, 5}, {2, 3, 6, 7}, {8, 9, 12, 13}, {10, 11, 14, 15}}

// nibbles splits bytes into low and high nibbles, each with the bits of offset set.
func nibbles(bytes, mask, offset reg.VecVirtual) (low, high reg.VecVirtual) {
	low, high = ZMM(), ZMM()
	VPSRLW(Imm(4), bytes, high)
	VMOVDQA32(bytes, low)
	VPTERNLOGD(Imm(andOr), offset, mask, low)
	VPTERNLOGD(Imm(andOr), offset, mask, high)
	return low, high
}

// scalesAndMins makes what stores what Q4_K and Q5_K have: twelve bytes of six-bit scales and minima behind two halves.
// Blocks 0 to 3 have six bits in one byte; 4 to 7 have four bits of a shared byte and the top two bits of 0 to 3's bytes.
func scalesAndMins() func(dst, src reg.Register) {
	pick := func(name string, at func(b int) int) reg.VecVirtual {
		return lanesOf(name, func(l int) uint32 { return uint32(4 + at(l/2)) })
	}
	early := func(name string, a, b uint32) reg.VecVirtual {
		return lanesOf(name, func(l int) uint32 {
			if l < 8 {
				return a
			}
			return b
		})
	}
	low := pick("scaleLow", func(b int) int { return b + b/4*4 })
	lowMin, high, highMin := pick("minLow", func(b int) int { return b + 4 }), pick("scaleHigh", func(b int) int { return b % 4 }), pick("minHigh", func(b int) int { return b%4 + 4 })
	mask, top, shift := early("sixOrFour", 63, 15), early("topTwo", 0, 0x30), early("minShift", 0, 4)
	return func(dst, src reg.Register) {
		packed := XMM()
		VMOVDQU32(Mem{Base: src}, packed)
		join := func(low, high, shift reg.VecVirtual) reg.VecVirtual {
			v, h := ZMM(), ZMM()
			VPERMB(packed.AsZ(), low, v) // bytes 1 to 3 of a lane are byte 0, which the masks take away
			VPERMB(packed.AsZ(), high, h)
			if shift != nil {
				VPSRLVD(shift, v, v)
			}
			VPSRLD(Imm(2), h, h)
			VPANDD(top, h, h)
			VPTERNLOGD(Imm(andOr), h, mask, v)
			return v
		}
		put(dst, weightScales, join(low, high, nil))
		put(dst, weightMins, join(lowMin, highMin, shift))
		putHalves(dst, src, 0, 2)
	}
}

func init() {
	generators["unpack_k"] = func() {
		unpackQ2_K()
		unpackQ3_K()
		unpackQ4_K()
		unpackQ5_K()
		unpackQ6_K()
		unpackIQ4_XS()
	}
}

func unpackQ4_K() {
	unpacker("Q4_K", 144, func() func(dst, src reg.Register) {
		scales := scalesAndMins()
		mask, offset := eachByte(0x0f), eachByte(0x80)
		return func(dst, src reg.Register) {
			scales(dst, src)
			var q [4]reg.VecVirtual
			for h := range 2 {
				q[2*h], q[2*h+1] = nibbles(zmm(Mem{Base: src, Disp: 16 + 64*h}), mask, offset)
			}
			putQuants(q, runs64, dst)
		}
	})
}

func unpackQ6_K() {
	unpacker("Q6_K", 210, func() func(dst, src reg.Register) {
		mask, topTwo, offset := eachByte(0x0f), eachByte(0x30), eachByte(96)
		left := bytesOf("left42", func(i int) byte { return byte(4-i/32*2) * byte(1-i%2) }) // in words
		right := bytesOf("right02", func(i int) byte { return byte(i/32*2) * byte(1-i%2) })
		return func(dst, src reg.Register) {
			var q [4]reg.VecVirtual
			for h := range 2 {
				low, high, top := zmm(Mem{Base: src, Disp: 64 * h}), ZMM(), ZMM()
				VBROADCASTI64X4(Mem{Base: src, Disp: 128 + 32*h}, top)
				VPSRLW(Imm(4), low, high)
				a, b := ZMM(), ZMM()
				VPSLLVW(left, top, a)
				VPSRLVW(right, top, b)
				for k, v := range []struct{ quants, top reg.VecVirtual }{{low, a}, {high, b}} {
					VPANDD(topTwo, v.top, v.top)
					VPTERNLOGD(Imm(andOr), v.top, mask, v.quants)
					VPADDB(offset, v.quants, v.quants)
					q[2*h+k] = v.quants
				}
			}
			putQuants(q, natural, dst)
			scales := ZMM()
			VPMOVSXBD(Mem{Base: src, Disp: 192}, scales)
			put(dst, weightScales, scales)
			putHalves(dst, src, 208)
		}
	})
}
