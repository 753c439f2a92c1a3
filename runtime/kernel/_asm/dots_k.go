package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

func init() {
	generators["dots_k"] = eachTile(func() {
		dotsQ2_K()
		dotsQ3_K()
		dotsQ4_K()
		dotsQ5_K()
		dotsQ6_K()
		dotsIQ4_XS()
	})
}

// holding is the first words' shuffles, and bytes.
func holding(words int, bytes ...byte) []Mem {
	var out []Mem
	for i := range words {
		out = append(out, eachWord(i))
	}
	for _, b := range bytes {
		out = append(out, each32(b))
	}
	return out
}

// inputAt is a place in each row of inputs.
type inputAt func(c, n int) Mem

// lanes are of sums, one for each row of inputs.
type lanes [tileTokens]reg.VecVirtual

// superBlock is what multiplies a block of 256 weights: lanes of the sum of its products, scaled in integers, and what
// makes that of its minima, nil if there are none.
type superBlock func(w func(n int) Mem, x inputAt) (sum *lanes, least func(c int) reg.VecVirtual)

// dotsSuper writes dots for blocks of 256 of size bytes with a scale at d, and behind it that of the minima, if any.
func dotsSuper(name string, size, d int, mins bool, hold []Mem, block superBlock) {
	dots(name, size, mins, false, hold, func(acc sumsOf, w reg.Register, x rowsOf) {
		sums, least := block(func(n int) Mem { return Mem{Base: w, Disp: n} }, x.at)
		halves := XMM()
		if mins {
			VMOVD(Mem{Base: w, Disp: d}, halves)
		} else {
			VPXOR(halves, halves, halves)
			VPINSRW(Imm(0), Mem{Base: w, Disp: d}, halves, halves)
		}
		VCVTPH2PS(halves, halves)
		for c := range tokens {
			sum, high, other, scale := sums[c], XMM(), XMM(), XMM()
			if mins {
				sum = mergePairs(sum, least(c))
			}
			VEXTRACTI128(Imm(1), sum, high)
			VPADDD(sum.AsX(), high, high)
			VPSHUFD(Imm(0xee), high, other)
			VPADDD(other, high, high) // the sum's two, or the sum and the minima's
			if !mins {
				VPSHUFD(Imm(0x55), high, other)
				VPADDD(other, high, high)
			}
			VCVTDQ2PS(high, high)
			VMULPS(x.at(c, inputScales), halves, scale)
			VMULPS(high, scale, scale)
			acc.add(c, scale)
		}
	})
}

// accumulate adds to sums the products of 32 weights, vector i of the block, with inputs, times their scale: word i of a
// half of scales for the half's weights. x is where the inputs are.
func (l *lanes) accumulate(weights block32, x inputAt, at int, scales reg.VecVirtual, i int) {
	s := YMM()
	VPSHUFB(constant(eachWord(i)), scales, s)
	for c := range tokens {
		v := YMM()
		weights.pairs(x(c, at), v)
		VPMADDWD(s, v, v)
		if l[c] == nil {
			l[c] = v
		} else {
			VPADDD(v, l[c], l[c])
		}
	}
}

// eachWord shuffles word i to all places of a half.
func eachWord(i int) Mem {
	return words16(fmt.Sprintf("word%d", i), func(int) uint16 { return uint16(2*i | (2*i+1)<<8) })
}

// evenOdd puts 16 bytes in the order of inputs' sums: even ones first.
func evenOdd(v reg.VecVirtual) {
	VPSHUFB(table("evenOdd", []byte{0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15}), v, v)
}

// takeZero takes from sums the products of weights that are larger than they should be by 1<<shift.
func (l *lanes) takeZero(scales reg.VecVirtual, x inputAt, shift uint64) {
	for c := range tokens {
		v := YMM()
		VPMADDWD(x(c, inputSums16), scales, v)
		VPSLLD(Imm(shift), v, v)
		VPSUBD(v, l[c], l[c])
	}
}

// shifted is v moved to the left, or by negative amounts to the right, and masked; bits that cross bytes must be masked.
func shifted(v Op, by int, mask Op) reg.VecVirtual {
	out := YMM()
	if r, ok := v.(reg.VecVirtual); ok && by == 0 {
		VPAND(mask, r, out)
		return out
	}
	switch r := v.(reg.VecVirtual); {
	case by > 0:
		VPSLLW(Imm(uint64(by)), r, out)
	default:
		VPSRLW(Imm(uint64(-by)), r, out)
	}
	VPAND(mask, out, out)
	return out
}

// sixBits is a row's eight scales of Q4_K and Q5_K as words, and its eight minima's product with the inputs' sums.
// Bytes 4 to 15 hold a to c of four bytes: six bits of the first four scales in a, of minima in b; four bits of the
// others in c, and their top two in those of a and b.
func sixBits(w func(n int) Mem, x inputAt) (scales reg.VecVirtual, least func(c int) reg.VecVirtual) {
	v := xmm(w(0))
	early, late, top := XMM(), XMM(), XMM()
	VPSHUFD(Imm(0xff), v, late)
	VPSRLVD(table("shift04", []byte{0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0}), late, late)
	VPAND(each32(0x0f), late, late)
	VPSHUFD(Imm(0x09), v, early) // a, b
	VPSRLW(Imm(2), early, top)
	VPAND(each32(0x30), top, top)
	VPOR(top, late, late)
	VPAND(each32(0x3f), early, early)
	VPUNPCKLDQ(late, early, early) // first and last scales, first and last minima
	words, mins := YMM(), XMM()
	VPMOVZXBW(early, words)
	VEXTRACTI128(Imm(1), words, mins)
	scales = YMM()
	VINSERTI128(Imm(1), words.AsX(), words, scales)
	return scales, func(c int) reg.VecVirtual {
		v := YMM()
		VPMADDWD(x(c, inputSums32), mins, v.AsX()) // the other half is zero
		return v
	}
}

func dotsQ4_K() {
	dotsSuper("Q4_K", 144, 0, true, holding(6, 0x0f), func(w func(n int) Mem, x inputAt) (*lanes, func(c int) reg.VecVirtual) {
		sum := &lanes{}
		scales, least := sixBits(w, x)
		for c := range 4 {
			v := ymm(w(16 + 32*c))
			high := shifted(v, -4, constant(each32(0x0f)))
			VPAND(constant(each32(0x0f)), v, v)
			sum.accumulate(block32{weights: v}, x, 64*c, scales, 2*c)
			sum.accumulate(block32{weights: high}, x, 64*c+32, scales, 2*c+1)
		}
		return sum, least
	})
}

func dotsQ5_K() {
	dotsSuper("Q5_K", 176, 0, true, holding(4, 0x0f, 0x10), func(w func(n int) Mem, x inputAt) (*lanes, func(c int) reg.VecVirtual) {
		sum := &lanes{}
		scales, least := sixBits(w, x)
		fifth := ymm(w(16))
		for c := range 4 {
			v := ymm(w(48 + 32*c))
			high := shifted(v, -4, constant(each32(0x0f)))
			VPAND(constant(each32(0x0f)), v, v)
			VPOR(shifted(fifth, 4-2*c, constant(each32(0x10))), v, v)
			VPOR(shifted(fifth, 3-2*c, constant(each32(0x10))), high, high)
			sum.accumulate(block32{weights: v}, x, 64*c, scales, 2*c)
			sum.accumulate(block32{weights: high}, x, 64*c+32, scales, 2*c+1)
		}
		return sum, least
	})
}

func dotsQ6_K() {
	dotsSuper("Q6_K", 210, 208, false, holding(5, 0x0f, 0x30), func(w func(n int) Mem, x inputAt) (*lanes, func(c int) reg.VecVirtual) {
		sum := &lanes{}
		bytes, scales := xmm(w(192)), YMM()
		evenOdd(bytes)
		VPMOVSXBW(bytes, scales)
		for h := range 2 {
			top := ymm(w(128 + 32*h))
			for k := range 2 {
				v := ymm(w(64*h + 32*k))
				high := shifted(v, -4, constant(each32(0x0f)))
				VPAND(constant(each32(0x0f)), v, v)
				VPOR(shifted(top, 4-2*k, constant(each32(0x30))), v, v)
				VPOR(shifted(top, -2*k, constant(each32(0x30))), high, high)
				i := 4*h + k
				sum.accumulate(block32{weights: v}, x, 32*i, scales, i)
				sum.accumulate(block32{weights: high}, x, 32*i+64, scales, i+2)
			}
		}
		sum.takeZero(scales, x, 5)
		return sum, nil
	})
}

func dotsQ2_K() {
	dotsSuper("Q2_K", 84, 80, true, holding(6, 3), func(w func(n int) Mem, x inputAt) (*lanes, func(c int) reg.VecVirtual) {
		sum := &lanes{}
		bytes, high, scales, least := xmm(w(0)), XMM(), YMM(), YMM()
		evenOdd(bytes)
		VPSRLW(Imm(4), bytes, high)
		VPAND(each32(0x0f), high, high)
		VPAND(each32(0x0f), bytes, bytes)
		VPMOVZXBW(bytes, scales)
		VPMOVZXBW(high, least)
		for h := range 2 {
			v := ymm(w(16 + 32*h))
			for k := range 4 {
				sum.accumulate(block32{weights: shifted(v, -2*k, constant(each32(3)))}, x, 128*h+32*k, scales, 4*h+k)
			}
		}
		return sum, func(c int) reg.VecVirtual {
			v := YMM()
			VPMADDWD(x(c, inputSums16), least, v)
			return v
		}
	})
}

func dotsQ3_K() {
	dotsSuper("Q3_K", 110, 108, false, holding(5, 3, 4), func(w func(n int) Mem, x inputAt) (*lanes, func(c int) reg.VecVirtual) {
		sum := &lanes{}
		v, low, top, scales := xmm(w(94)), XMM(), XMM(), YMM()
		VPSHUFB(table("q3Low", []byte{2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5, 6, 7, 8, 9}), v, low)
		VPSHUFB(table("q3Top", []byte{10, 11, 12, 13, 10, 11, 12, 13, 10, 11, 12, 13, 10, 11, 12, 13}), v, top)
		VPSRLVD(table("q3LowShift", []byte{0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 4, 0, 0, 0}), low, low)
		VPSRLVD(table("q3TopShift", []byte{0, 0, 0, 0, 2, 0, 0, 0, 4, 0, 0, 0, 6, 0, 0, 0}), top, top)
		VPAND(each32(0x0f), low, low)
		VPAND(each32(0x03), top, top)
		VPSLLW(Imm(4), top, top)
		VPOR(top, low, low)
		VPSUBB(each32(32), low, low)
		evenOdd(low)
		VPMOVSXBW(low, scales)
		third := ymm(w(0))
		for h := range 2 {
			two := ymm(w(32 + 32*h))
			for k := range 4 {
				i := 4*h + k
				q := shifted(two, -2*k, constant(each32(3)))
				VPOR(shifted(third, 2-i, constant(each32(4))), q, q)
				sum.accumulate(block32{weights: q}, x, 32*i, scales, i)
			}
		}
		sum.takeZero(scales, x, 2)
		return sum, nil
	})
}

func dotsIQ4_XS() {
	dotsSuper("IQ4_XS", 136, 0, false, append(holding(5, 0x0f), signedValues("nonLinear4", nonLinear4)), func(w func(n int) Mem, x inputAt) (*lanes, func(c int) reg.VecVirtual) {
		sum := &lanes{}
		v, low, top, scales := XMM(), XMM(), XMM(), YMM()
		VMOVQ(w(0), v) // d, eight pairs of bits, eight nibbles
		VPSHUFB(table("xsLow", []byte{4, 0x80, 4, 0x80, 5, 0x80, 5, 0x80, 6, 0x80, 6, 0x80, 7, 0x80, 7, 0x80}), v, low)
		VPSHUFB(table("xsTop", []byte{2, 3, 2, 3, 2, 3, 2, 3, 2, 3, 2, 3, 2, 3, 2, 3}), v, top)
		VPMULLW(words16("xsLowBy", func(b int) uint16 { return 16 >> (b % 2 * 4) }), low, low)
		VPMULLW(words16("xsTopBy", func(b int) uint16 { return 1 << (14 - 2*b) }), top, top)
		VPSRLW(Imm(4), low, low)
		VPSRLW(Imm(14), top, top)
		VPAND(words16("xsFifteen", func(int) uint16 { return 15 }), low, low)
		VPSLLW(Imm(4), top, top)
		VPOR(top, low, low)
		VPSUBW(words16("xsZero", func(int) uint16 { return 32 }), low, low)
		VINSERTI128(Imm(1), low, low.AsY(), scales)
		for b := range 8 {
			sum.accumulate(newBlock32(lookup16(w(8+16*b), "nonLinear4", nonLinear4), true), x, 32*b, scales, b)
		}
		return sum, nil
	})
}
