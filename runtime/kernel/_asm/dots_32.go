package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

func init() {
	generators["dots_32"] = bothForms(func() {
		eachTile(func() { eachBlocks(dotsBlocks) })()
		eachBlocks(restBlocks)
	})
}

// blocks32 is a type of blocks of 32 of size bytes: a function loads a block's weights, which are larger by zero than they
// should be, another the scales of eight. If there are minima, halves at 2, they are added.
type blocks32 struct {
	name       string
	size, zero int
	hold       []Mem
	scales     func(w reg.Register, size int) reg.VecVirtual
	mins       bool
	block      func(w func(n int) Mem) reg.VecVirtual
}

func eachBlocks(write func(b blocks32)) {
	five := []Mem{ones16(), each32(0x0f), each32(0x10), byteOfBit(), otherBits()}
	for _, b := range []blocks32{
		{"Q8_0", 34, signedWeights, []Mem{ones16(), each32(0x80)}, halvesAtZero, false, func(w func(n int) Mem) reg.VecVirtual { return ymm(w(2)) }},
		{"Q4_0", 18, 8, []Mem{ones16(), each32(0x0f)}, halvesAtZero, false, func(w func(n int) Mem) reg.VecVirtual { return nibbles16(w(2)) }},
		{"Q4_1", 20, 0, []Mem{ones16(), each32(0x0f)}, halvesAtZero, true, func(w func(n int) Mem) reg.VecVirtual { return nibbles16(w(4)) }},
		{"Q5_0", 22, 16, five, halvesAtZero, false, func(w func(n int) Mem) reg.VecVirtual { return fiveBits(w(2), w(6)) }},
		{"Q5_1", 24, 0, five, halvesAtZero, true, func(w func(n int) Mem) reg.VecVirtual { return fiveBits(w(4), w(8)) }},
		{"IQ4_NL", 18, signedWeights, []Mem{ones16(), each32(0x0f), signedValues("nonLinear4", nonLinear4)}, halvesAtZero, false, func(w func(n int) Mem) reg.VecVirtual { return lookup16(w(2), "nonLinear4", nonLinear4) }},
		{"MXFP4", 17, signedWeights, []Mem{ones16(), each32(0x0f), signedValues("twiceE2M1", twiceE2M1)}, powersOf, false, func(w func(n int) Mem) reg.VecVirtual { return lookup16(w(1), "twiceE2M1", twiceE2M1) }},
	} {
		write(b)
	}
}

func twiceE2M1(i int) int { return [16]int{0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12}[i] }

// signedWeights is of weights that are bytes with signs, or whose zero is at 128, and not unsigned with a zero of their own.
const signedWeights = -1

// dotsBlocks writes dots for eight blocks.
func dotsBlocks(t blocks32) {
	dots(t.name, 8*t.size, false, tokens > 1, t.hold, func(acc sumsOf, w reg.Register, x rowsOf) {
		var quarters [2][tileTokens]reg.VecVirtual // of a half's four blocks
		var first Mem                              // the first half's, where registers are few
		if tokens > 1 {
			first = AllocLocal(32 * tokens)
		}
		for h := range quarters {
			var pairs [tileTokens]reg.VecVirtual
			for p := range 2 {
				b := 4*h + 2*p
				one, two := t.at(w, b), t.at(w, b+1)
				for c := range tokens {
					pairs[c] = merged(p, pairs[c], mergePairs(one.products(x.at(c, 32*b)), two.products(x.at(c, 32*b+32))))
				}
			}
			for c := range tokens {
				if quarters[h][c] = pairs[c]; h == 0 && tokens > 1 {
					VMOVDQU(pairs[c], first.Offset(32*c))
				}
			}
		}
		scale, least := t.figures(w, t.size)
		var fours [tileTokens]reg.VecVirtual
		for c := range tokens {
			if tokens > 1 {
				quarters[0][c] = ymm(first.Offset(32 * c))
			}
			sum, other := YMM(), YMM()
			VPBLENDD(Imm(0xf0), quarters[1][c], quarters[0][c], sum)
			VPERM2I128(Imm(0x21), quarters[1][c], quarters[0][c], other)
			VPADDD(other, sum, sum)
			fours[c] = t.scaled(sum, scale, least, func(n int) Mem { return x.at(c, n) })
		}
		if tokens == 1 {
			VADDSS(inOrder(fours[0]), acc.one, acc.one)
		} else {
			VADDPS(inOrderAll(fours), acc.one, acc.one)
		}
	})
}

// restBlocks writes what adds the products of rows' last blocks, fewer than eight.
func restBlocks(t blocks32) {
	name := "rest" + t.name + form()
	TEXT(name, NOSPLIT, "func(dst *float32, src *byte, x *int8, stride, blocks, rows int)")
	Pragma("noescape")
	Doc(name + " adds to dst the products of blocks of encoded rows, stride bytes apart, and of inputs, which are zero behind them.")
	dst, src, x := Load(Param("dst"), GP64()), Load(Param("src"), GP64()), Load(Param("x"), GP64())
	rows, stride := Load(Param("rows"), GP64()), Load(Param("stride"), GP64())
	w, in, left, at, head := GP64(), GP64(), GP64(), GP64(), GP32()
	heads, sums := AllocLocal(32), AllocLocal(32) // the first four bytes of blocks, and sums of their products
	headsAt, sumsAt := GP64(), GP64()
	LEAQ(heads, headsAt)
	LEAQ(sums, sumsAt)
	held = map[string]reg.VecVirtual{}
	for _, m := range t.hold {
		held[m.Symbol.Name] = ymm(m)
	}
	zero := YMM()
	VPXOR(zero, zero, zero)
	VMOVDQU(zero, heads)
	VMOVDQU(zero, sums)
	Label("row")
	MOVQ(src, w)
	MOVQ(x, in)
	XORQ(at, at)
	Load(Param("blocks"), left)
	Label("block")
	MOVL(Mem{Base: w}, head)
	MOVL(head, Mem{Base: headsAt, Index: at, Scale: 4})
	sum := t.at(w, 0).products(Mem{Base: in})
	half, other := XMM(), XMM()
	VEXTRACTI128(Imm(1), sum, half)
	VPADDD(sum.AsX(), half, half)
	for _, swap := range []uint64{0x4e, 0xb1} {
		VPSHUFD(Imm(swap), half, other)
		VPADDD(other, half, half)
	}
	VMOVD(half, Mem{Base: sumsAt, Index: at, Scale: 4})
	ADDQ(U32(t.size), w)
	ADDQ(Imm(32), in)
	INCQ(at)
	DECQ(left)
	JNZ(LabelRef("block"))
	scale, least := t.figures(headsAt, 4)
	v := inOrder(t.scaled(ymm(sums), scale, least, func(n int) Mem { return Mem{Base: x, Disp: n} }))
	VADDSS(Mem{Base: dst}, v, v)
	VMOVSS(v, Mem{Base: dst})
	ADDQ(Imm(4), dst)
	ADDQ(stride, src)
	DECQ(rows)
	JNZ(LabelRef("row"))
	VZEROUPPER()
	RET()
}

// at is block b of those at w.
func (t blocks32) at(w reg.Register, b int) block32 {
	return newBlock32(t.block(func(n int) Mem { return Mem{Base: w, Disp: t.size*b + n} }), t.zero == signedWeights)
}

// figures are the scales of eight blocks, size bytes apart, and their minima, if any.
func (t blocks32) figures(w reg.Register, size int) (scale, least reg.VecVirtual) {
	if scale = t.scales(w, size); t.mins {
		least = halvesAt(w, 2, size)
	}
	return scale, least
}

// scaled makes of the sums of eight blocks' products the scaled ones, and adds up those four apart. x is where the inputs
// are.
func (t blocks32) scaled(sum, scale, least reg.VecVirtual, x func(n int) Mem) reg.VecVirtual {
	other := YMM()
	switch { // the bias is of 128
	case t.zero > 0:
		VPSRAD(Imm(uint64(map[int]int{8: 4, 16: 3}[t.zero])), ymm(x(inputBias32)), other)
		VPADDD(other, sum, sum)
	case t.zero < 0 && vnni:
		VPADDD(x(inputBias32), sum, sum)
	}
	VCVTDQ2PS(sum, sum)
	by := YMM()
	VMULPS(x(inputScales), scale, by)
	VMULPS(by, sum, sum)
	if t.mins {
		by := YMM()
		VMULPS(x(inputSums), least, by)
		VADDPS(by, sum, sum)
	}
	high := XMM()
	VEXTRACTF128(Imm(1), sum, high)
	VADDPS(high, sum.AsX(), high)
	return high
}

// mergePairs is, in places 0 and 2 of a quarter, the sums of a's elements 0, 1 and 2, 3, and in 1 and 3 those of b's,
// which is lost.
func mergePairs(a, b reg.VecVirtual) reg.VecVirtual {
	same := YMM()
	VPBLENDD(Imm(0xaa), b, a, same)
	VPBLENDD(Imm(0xaa), a, b, b)
	VPSHUFD(Imm(0xb1), b, b)
	VPADDD(b, same, same)
	return same
}

// merged is b, or after the first pair what it makes with a.
func merged(pair int, a, b reg.VecVirtual) reg.VecVirtual {
	if pair == 0 {
		return b
	}
	return mergeHalves(a, b)
}

// mergeHalves is the sums of a's elements two apart in a quarter, and behind them those of b's, which is lost.
func mergeHalves(a, b reg.VecVirtual) reg.VecVirtual {
	same := YMM()
	VPBLENDD(Imm(0xcc), b, a, same)
	VPALIGNR(Imm(8), a, b, b)
	VPADDD(b, same, same)
	return same
}

// inOrder adds up four lanes in their order.
func inOrder(v reg.VecVirtual) reg.VecVirtual {
	t := XMM()
	VMOVSHDUP(v, t)
	VADDSS(t, v, t)
	for _, lane := range []uint64{2, 3} {
		next := XMM()
		VPERMILPS(Imm(lane), v, next)
		VADDSS(next, t, t)
	}
	return t
}

// inOrderAll is that of four vectors, a lane each.
func inOrderAll(v [tileTokens]reg.VecVirtual) reg.VecVirtual {
	low01, high01, low23, high23, t, next := XMM(), XMM(), XMM(), XMM(), XMM(), XMM()
	VUNPCKLPS(v[1], v[0], low01)
	VUNPCKHPS(v[1], v[0], high01)
	VUNPCKLPS(v[3], v[2], low23)
	VUNPCKHPS(v[3], v[2], high23)
	VMOVLHPS(low23, low01, t)
	VMOVHLPS(low01, low23, next)
	VADDPS(next, t, t)
	VMOVLHPS(high23, high01, next)
	VADDPS(next, t, t)
	VMOVHLPS(high01, high23, next)
	VADDPS(next, t, t)
	return t
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

// block32 is 32 weights as they are multiplied. With VNNI signed ones are larger by 128; else they have a magnitude.
type block32 struct{ weights, size reg.VecVirtual }

func newBlock32(weights reg.VecVirtual, signed bool) block32 {
	switch {
	case signed && vnni:
		VPXOR(constant(each32(0x80)), weights, weights)
	case signed:
		size := YMM()
		VPABSB(weights, size)
		return block32{weights, size}
	}
	return block32{weights: weights}
}

// products is lanes of the products of weights and inputs.
func (b block32) products(x Mem) reg.VecVirtual {
	v := YMM()
	if vnni {
		VPXOR(v, v, v)
		VPDPBUSD(x, b.weights, v)
		return v
	}
	b.pairs(x, v)
	VPMADDWD(constant(ones16()), v, v)
	return v
}

// pairs is products of pairs: of signed weights, of magnitudes with inputs of the weights' signs. The largest, two of 128
// times 127, are still words.
func (b block32) pairs(x Mem, v reg.VecVirtual) {
	if b.size == nil {
		VPMADDUBSW(x, b.weights, v)
		return
	}
	VMOVDQU(x, v)
	VPSIGNB(b.weights, v, v)
	VPMADDUBSW(v, b.size, v)
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
