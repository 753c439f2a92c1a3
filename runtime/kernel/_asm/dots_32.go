package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

func init() {
	generators["dots_32"] = bothForms(func() {
		dotsBlocks("Q8_0", 34, signedWeights, []Mem{ones16(), each32(0x80)}, halvesAtZero, false, func(w func(n int) Mem) reg.VecVirtual { return ymm(w(2)) })
		dotsBlocks("Q4_0", 18, 8, []Mem{ones16(), each32(0x0f)}, halvesAtZero, false, func(w func(n int) Mem) reg.VecVirtual { return nibbles16(w(2)) })
		dotsBlocks("Q4_1", 20, 0, []Mem{ones16(), each32(0x0f)}, halvesAtZero, true, func(w func(n int) Mem) reg.VecVirtual { return nibbles16(w(4)) })
		dotsBlocks("Q5_0", 22, 16, []Mem{ones16(), each32(0x0f), each32(0x10), byteOfBit(), otherBits()}, halvesAtZero, false, func(w func(n int) Mem) reg.VecVirtual { return fiveBits(w(2), w(6)) })
		dotsBlocks("Q5_1", 24, 0, []Mem{ones16(), each32(0x0f), each32(0x10), byteOfBit(), otherBits()}, halvesAtZero, true, func(w func(n int) Mem) reg.VecVirtual { return fiveBits(w(4), w(8)) })
		dotsBlocks("IQ4_NL", 18, signedWeights, []Mem{ones16(), each32(0x0f), signedValues("nonLinear4", nonLinear4)}, halvesAtZero, false, func(w func(n int) Mem) reg.VecVirtual { return lookup16(w(2), "nonLinear4", nonLinear4) })
		dotsBlocks("MXFP4", 17, signedWeights, []Mem{ones16(), each32(0x0f), signedValues("twiceE2M1", twiceE2M1)}, powersOf, false, func(w func(n int) Mem) reg.VecVirtual { return lookup16(w(1), "twiceE2M1", twiceE2M1) })
	})
}

func twiceE2M1(i int) int { return [16]int{0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12}[i] }

// signedWeights is of weights that are bytes with signs, or whose zero is at 128, and not unsigned with a zero of their own.
const signedWeights = -1

// dotsBlocks writes dots for blocks of 32 of size bytes. block loads its weights, which are larger by zero than they
// should be. If there are minima, halves at 2, they are added.
func dotsBlocks(name string, size, zero int, hold []Mem, scales func(w reg.Register, size int) reg.VecVirtual, mins bool, block func(w func(n int) Mem) reg.VecVirtual) {
	dots(name, 8*size, false, hold, func(acc reg.VecVirtual, w, x reg.Register) {
		var quarters [2]reg.VecVirtual // of a half's four blocks
		for h := range quarters {
			var pair [2]reg.VecVirtual
			for p := range pair {
				var sums [2]reg.VecVirtual
				for i := range sums {
					b := 4*h + 2*p + i
					v := block(func(n int) Mem { return Mem{Base: w, Disp: size*b + n} })
					sums[i] = products32(v, Mem{Base: x, Disp: 32 * b}, zero == signedWeights)
				}
				VPHADDD(sums[1], sums[0], sums[0])
				pair[p] = sums[0]
			}
			VPHADDD(pair[1], pair[0], pair[0])
			quarters[h] = pair[0]
		}
		sum, other := YMM(), YMM()
		VPERM2I128(Imm(0x20), quarters[1], quarters[0], sum)
		VPERM2I128(Imm(0x31), quarters[1], quarters[0], other)
		VPADDD(other, sum, sum)
		switch { // the bias is of 128
		case zero > 0:
			VPSRAD(Imm(uint64(map[int]int{8: 4, 16: 3}[zero])), ymm(Mem{Base: x, Disp: inputBias32}), other)
			VPADDD(other, sum, sum)
		case zero < 0 && vnni:
			VPADDD(Mem{Base: x, Disp: inputBias32}, sum, sum)
		}
		VCVTDQ2PS(sum, sum)
		by := scales(w, size)
		VMULPS(Mem{Base: x, Disp: inputScales}, by, by)
		VMULPS(by, sum, sum)
		if mins {
			least := halvesAt(w, 2, size)
			VMULPS(Mem{Base: x, Disp: inputSums}, least, least)
			VADDPS(least, sum, sum)
		}
		addEight(acc, sum)
	})
}

// addEight adds to acc the lanes of v: those four apart first, then the pairs in order.
func addEight(acc, v reg.VecVirtual) {
	high, t := XMM(), XMM()
	VEXTRACTF128(Imm(1), v, high)
	VADDPS(high, v.AsX(), high)
	VMOVSHDUP(high, t)
	VADDSS(t, high, t)
	for _, lane := range []uint64{2, 3} {
		next := XMM()
		VPERMILPS(Imm(lane), high, next)
		VADDSS(next, t, t)
	}
	VADDSS(t, acc, acc)
}

func halvesAtZero(w reg.Register, size int) reg.VecVirtual { return halvesAt(w, 0, size) }

// halvesAt is eight blocks' halves, as floats.
func halvesAt(w reg.Register, at, size int) reg.VecVirtual {
	x, y := XMM(), YMM()
	VPXOR(x, x, x)
	for b := range 8 {
		VPINSRW(Imm(uint64(b)), Mem{Base: w, Disp: size*b + at}, x, x)
	}
	VCVTPH2PS(x, y)
	return y
}

// powersOf is 2^(e-128) of eight blocks' first bytes.
func powersOf(w reg.Register, size int) reg.VecVirtual {
	x, e, small, isSmall := XMM(), YMM(), YMM(), YMM()
	VPXOR(x, x, x)
	for b := range 8 {
		VPINSRB(Imm(uint64(b)), Mem{Base: w, Disp: size * b}, x, x)
	}
	VPMOVZXBD(x, e)
	each := func(name string, v uint32) Mem {
		return bytes32(name, func(i int) byte { return byte(v >> (i % 4 * 8)) })
	}
	VMOVDQU(each("subnormal32", 0x00200000), small)
	VPSLLVD(e, small, small)
	VMOVDQU(each("two32", 2), isSmall)
	VPCMPGTD(e, isSmall, isSmall) // e < 2
	VPSUBD(each("one32", 1), e, e)
	VPSLLD(Imm(23), e, e)
	VBLENDVPS(isSmall, small, e, e)
	return e
}

// products32 is lanes of the products of weights and inputs. With VNNI signed weights are larger by 128.
func products32(weights reg.VecVirtual, x Mem, signed bool) reg.VecVirtual {
	if vnni {
		sum := YMM()
		VPXOR(sum, sum, sum)
		if signed {
			VPXOR(constant(each32(0x80)), weights, weights)
		}
		VPDPBUSD(x, weights, sum)
		return sum
	}
	v := YMM()
	if signed {
		v = signedProducts(weights, x)
	} else {
		VPMADDUBSW(x, weights, v)
	}
	VPMADDWD(constant(ones16()), v, v)
	return v
}

// signedProducts is products of pairs of signed weights and inputs: of magnitudes with inputs of the weights' signs.
// The largest, two of 128 times 127, are still words.
func signedProducts(weights reg.VecVirtual, x Mem) reg.VecVirtual {
	size, v := YMM(), YMM()
	VMOVDQU(x, v)
	VPABSB(weights, size)
	VPSIGNB(weights, v, v)
	VPMADDUBSW(v, size, v)
	return v
}

// nibbles16 is 16 bytes' low nibbles, and their high nibbles behind them.
func nibbles16(bytes Mem) reg.VecVirtual {
	low, high, v := xmm(bytes), XMM(), YMM()
	VPSRLW(Imm(4), low, high)
	VINSERTI128(Imm(1), high, low.AsY(), v)
	VPAND(constant(each32(0x0f)), v, v)
	return v
}

// lookup16 is what 16 bytes' nibbles stand for.
func lookup16(bytes Mem, name string, value func(i int) int) reg.VecVirtual {
	v, values := nibbles16(bytes), signedValues(name, value)
	t, ok := held[values.Symbol.Name]
	if !ok {
		t = ymm(values)
	}
	VPSHUFB(v, t, v)
	return v
}

func signedValues(name string, value func(i int) int) Mem {
	return bytes32(name+"Signed", func(i int) byte { return byte(value(i % 16)) })
}

func ones16() Mem { return words16("ones16", func(int) uint16 { return 1 }) }

// byteOfBit and otherBits make bytes of bits.
func byteOfBit() Mem { return bytes32("byteOfBit", func(i int) byte { return byte(i / 8) }) }
func otherBits() Mem { return bytes32("otherBits", func(i int) byte { return ^(1 << (i % 8)) }) }

// fiveBits is 16 bytes' nibbles with fifth bits.
func fiveBits(bits, bytes Mem) reg.VecVirtual {
	v, five := nibbles16(bytes), YMM()
	VPBROADCASTD(bits, five)
	VPSHUFB(constant(byteOfBit()), five, five)
	VPOR(constant(otherBits()), five, five)
	VPCMPEQB(each32(0xff), five, five)
	VPAND(constant(each32(0x10)), five, five)
	VPOR(five, v, v)
	return v
}
