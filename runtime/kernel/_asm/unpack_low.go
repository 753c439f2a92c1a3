package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// pairs makes what takes 64 bytes of two-bit quants apart, with the bits of offset set. A run of 32 bytes is two vectors.
func pairs(offset byte) func(src reg.Register, at int) (q [4]reg.VecVirtual) {
	mask, high := eachByte(3), eachByte(offset)
	var shifts [2]reg.VecVirtual
	for k, name := range []string{"right02", "right46"} {
		shifts[k] = bytesOf(name, func(i int) byte { return byte(4*k+i/32*2) * byte(1-i%2) }) // in words
	}
	return func(src reg.Register, at int) (q [4]reg.VecVirtual) {
		for h := range 2 {
			bytes := ZMM()
			VBROADCASTI64X4(Mem{Base: src, Disp: at + 32*h}, bytes)
			for k, shift := range shifts {
				v := ZMM()
				VPSRLVW(shift, bytes, v)
				VPTERNLOGD(Imm(andOr), high, mask, v)
				q[2*h+k] = v
			}
		}
		return q
	}
}

func unpackQ2_K() {
	unpacker("Q2_K", 84, func() func(dst, src reg.Register) {
		split := pairs(0x80)
		four := lanesOf("fifteen", func(int) uint32 { return 15 })
		return func(dst, src reg.Register) {
			putQuants(split(src, 16), natural, dst)
			scales, mins := ZMM(), ZMM()
			VPMOVZXBD(Mem{Base: src}, scales)
			VPSRLD(Imm(4), scales, mins)
			VPANDD(four, scales, scales)
			put(dst, weightScales, scales)
			put(dst, weightMins, mins)
			putHalves(dst, src, 80, 82)
		}
	})
}

// addBits makes what adds a value to the quants of vector k that have bit bit(k, half) set in the 32 bytes of a half.
func addBits(name string, value byte, bit func(k, half int) int) func(q [4]reg.VecVirtual, bytes Mem) {
	add := eachByte(value)
	var tests [4]reg.VecVirtual
	for k := range tests {
		tests[k] = bytesOf(name+string(rune('0'+k)), func(i int) byte { return 1 << bit(k, i/32) })
	}
	return func(q [4]reg.VecVirtual, bytes Mem) {
		all := ZMM()
		VBROADCASTI64X4(bytes, all)
		for k, test := range tests {
			m := K()
			VPTESTMB(test, all, m)
			VPADDB(add, q[k], m, q[k])
		}
	}
}

// signedSix makes six-bit scales, less 32, of four bits and two: each lane has a byte of 16 for either, and shifts.
func signedSix(name string, low, lowShift, high, highShift func(l int) int) func(bytes Mem) reg.VecVirtual {
	lanes := func(part string, f func(l int) int) reg.VecVirtual {
		return lanesOf(name+part, func(l int) uint32 { return uint32(f(l)) })
	}
	lowAt, highAt := lanes("Low", low), lanes("High", high)
	lowBy, highBy := lanes("LowShift", lowShift), lanes("HighShift", highShift)
	fifteen, top := lanesOf("fifteen", func(int) uint32 { return 15 }), lanesOf("top", func(int) uint32 { return 0x30 })
	bias := lanesOf("thirtyTwo", func(int) uint32 { return 32 })
	return func(bytes Mem) reg.VecVirtual {
		x, v, h := XMM(), ZMM(), ZMM()
		VMOVDQU32(bytes, x)
		VPERMB(x.AsZ(), lowAt, v)
		VPERMB(x.AsZ(), highAt, h)
		VPSRLVD(lowBy, v, v)
		VPSLLD(Imm(4), h, h)
		VPSRLVD(highBy, h, h)
		VPANDD(top, h, h)
		VPTERNLOGD(Imm(andOr), h, fifteen, v)
		VPSUBD(bias, v, v)
		return v
	}
}

func unpackQ3_K() {
	unpacker("Q3_K", 110, func() func(dst, src reg.Register) {
		split := pairs(124)
		high := addBits("q3Bit", 4, func(k, half int) int { return 2*k + half })
		scales := signedSix("q3Scale", func(l int) int { return 2 + l%8 }, func(l int) int { return l / 8 * 4 },
			func(l int) int { return 10 + l%4 }, func(l int) int { return l / 4 * 2 })
		return func(dst, src reg.Register) {
			q := split(src, 32)
			high(q, Mem{Base: src})
			putQuants(q, natural, dst)
			put(dst, weightScales, scales(Mem{Base: src, Disp: 94}))
			putHalves(dst, src, 108)
		}
	})
}

func unpackQ5_K() {
	unpacker("Q5_K", 176, func() func(dst, src reg.Register) {
		scales := scalesAndMins()
		mask, offset := eachByte(0x0f), eachByte(0x80)
		high := addBits("q5Bit", 16, func(k, half int) int { return k/2*4 + k%2 + 2*half })
		return func(dst, src reg.Register) {
			scales(dst, src)
			var q [4]reg.VecVirtual
			for h := range 2 {
				q[2*h], q[2*h+1] = nibbles(zmm(Mem{Base: src, Disp: 48 + 64*h}), mask, offset)
			}
			high(q, Mem{Base: src, Disp: 16})
			putQuants(q, runs64, dst)
		}
	})
}

func unpackIQ4_XS() {
	unpacker("IQ4_XS", 136, func() func(dst, src reg.Register) {
		split := lookup("IQ4_NL", nonLinear4)
		scales := signedSix("iq4Scale", func(l int) int { return 4 + l/4 }, func(l int) int { return l / 2 % 2 * 4 },
			func(l int) int { return 2 | 3<<8 }, func(l int) int { return l / 2 * 2 })
		return func(dst, src reg.Register) {
			var q [4]reg.VecVirtual
			for h := range 2 {
				q[2*h], q[2*h+1] = split(zmm(Mem{Base: src, Disp: 8 + 64*h}))
			}
			putQuants(q, runs16, dst)
			put(dst, weightScales, scales(Mem{Base: src}))
			putHalves(dst, src, 0)
		}
	})
}
