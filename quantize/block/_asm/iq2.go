package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/attr"
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

func init() {
	generators["iq2"] = func() {
		for _, s := range isas {
			for _, n := range []int{16, 32} {
				q := iq2{isa: s, n: n}
				if n == 16 {
					q.weigh("Even", true, true)
					q.weigh("Signed", false, true)
					q.weigh("Plain", false, false)
				} else {
					q.weigh("Even", true, true)
					q.scale()
				}
				q.tops()
				q.codes()
				q.sums()
				q.refine()
			}
			s.tries()
		}
		for _, n := range []int{16, 32} {
			iq2{isa: isas[1], n: n}.look()
			iq2{isa: isas[1], n: n}.search()
		}
	}
}

// iq2 generates the steps of the IQ2 encoders for 16 runs of n weights side by side.
type iq2 struct {
	isa
	n    int
	base reg.GPVirtual
}

// Layout of iq2Scratch.
const (
	iq2V       = 0     // magnitudes, run by run
	iq2W       = 2048  // their weights
	iq2Lanes   = 4096  // rows of 32: an element of the 16 runs, then its weights
	iq2Spread  = 8192  // groups, first those of each run: every magnitude four times, then every root of a weight
	iq2IDs     = 24576 // inverse scales of the trials, each of the 16 runs
	iq2Scales  = 25856 // and the scales
	iq2More    = 27136 // a bit for digits of at least 1, by trial, run and group
	iq2Most    = 28416 // for digits of 2
	iq2Numbers = 29696 // in the same order
	iq2Words   = 32256 // points, by trial, group and run
	iq2List    = 37376 // indices of words to search
	iq2Scale   = 39936 // of each run
	iq2Top     = 40000
	iq2Chosen  = 40064 // points, by group and run
	iq2Far     = 40320 // largest magnitudes
	iq2Signs   = 40384 // by run and group
)

const spreadBytes = 256

func (q iq2) k() int { return q.n / 8 }

// function starts a kernel; the first parameter is the scratch.
func (q *iq2) function(name, params, doc string) {
	name = fmt.Sprintf("%s%d%s", name, q.n, q.name)
	TEXT(name, attr.NOSPLIT, "func(scratch *float32"+params+")")
	Pragma("noescape")
	Doc(name + " " + doc)
	q.base = Load(Param("scratch"), GP64()).(reg.GPVirtual)
}

func (q iq2) at(off int) Mem { return Mem{Base: q.base, Disp: off} }

// param loads a parameter.
func param(name string) reg.GPVirtual { return Load(Param(name), GP64()).(reg.GPVirtual) }

// limits beyond which errors may overflow.
const (
	iq2MaxWeight = 1e20
	iq2MaxValue  = 1e12
)

// weigh generates the first step: magnitudes, signs and weights of runs.
func (q iq2) weigh(kind string, even, weighted bool) {
	q.function("weigh"+kind, ", x, importance *float32, first, runs int, sigma2 float32) (bad int",
		"computes magnitudes, signs and weights of runs from the first; bad is not 0 where errors may overflow.")
	x, w := param("x"), param("importance")
	first, left := param("first"), param("runs")
	sigma := q.vec()
	VBROADCASTSS(NewParamAddr("sigma2", 40), sigma)
	spread, signs := GP64(), GP64()
	v := GP64()
	MOVQ(first, spread)
	SHLQ(U8(8), spread)
	LEAQ(Mem{Base: q.base, Index: spread, Scale: 1, Disp: iq2Spread}, spread)
	MOVQ(first, v)
	IMUL3Q(U32(4*q.n), v, v)
	ADDQ(q.base, v)
	IMUL3Q(U8(q.k()), first, first)
	LEAQ(Mem{Base: q.base, Index: first, Scale: 1, Disp: iq2Signs}, signs)
	sign := q.each32(signBit)
	bad := GP64()
	XORQ(bad, bad)
	if !weighted {
		VMULPS(q.eachF32(0.25), sigma, sigma)
	}
	l := label("run")
	Label(l)
	for i := 0; i < q.n; i += q.lanes {
		f := q.load(at(x, 4*i))
		weight := q.add(sigma, q.mul(f, f))
		if weighted {
			VSQRTPS(weight, weight)
			VMULPS(at(w, 4*i), weight, weight)
		}
		q.store(weight, at(v, iq2W+4*i))
		negative := q.bits(q.compare(cmpLT, f, q.zero()))
		magnitude := q.abs(f)
		if even {
			flips := q.flips(q.mul(q.mul(weight, f), f), negative)
			XORL(flips, negative)
			magnitude = q.xor(f, q.signMask(negative, sign))
		}
		q.store(magnitude, at(v, iq2V+4*i))
		q.storeSigns(negative, at(signs, i/8))
		tooLarge := q.either(q.compare(cmpNLE, weight, q.eachF32(iq2MaxWeight)), q.compare(cmpNLE, q.abs(f), q.eachF32(iq2MaxValue)))
		tooLarge = q.either(tooLarge, q.compare(cmpNGE, weight, q.zero()))
		ORL(q.bits(tooLarge), bad.As32())
		root := q.vec()
		VSQRTPS(weight, root)
		for g := range q.lanes / 8 {
			to := at(spread, (i/8+g)*16*spreadBytes)
			q.spreadGroup(magnitude, g, to)
			q.spreadGroup(root, g, to.Offset(128))
		}
	}
	ADDQ(U32(4*q.n), x)
	if weighted {
		ADDQ(U32(4*q.n), w)
	}
	ADDQ(U32(4*q.n), v)
	ADDQ(U8(q.k()), signs)
	ADDQ(U32(spreadBytes), spread)
	DECQ(left)
	JNZ(LabelRef(l))
	VZEROUPPER()
	Store(bad, ReturnIndex(0))
	RET()
}

// storeSigns stores a bit for each lane.
func (q iq2) storeSigns(bits reg.GPVirtual, to Mem) {
	if q.wide() {
		MOVW(bits.As16(), to)
	} else {
		MOVB(bits.As8(), to)
	}
}

// flips are the lanes to flip: the first of least error of each eight of which an odd number is negative.
func (q iq2) flips(e reg.VecVirtual, negative reg.GPVirtual) reg.GPVirtual {
	least := e
	for _, swap := range []func(v, out reg.VecVirtual){
		func(v, out reg.VecVirtual) { VPERMILPS(U8(0xb1), v, out) },
		func(v, out reg.VecVirtual) { VPERMILPS(U8(0x4e), v, out) },
		func(v, out reg.VecVirtual) {
			if q.wide() {
				VSHUFF32X4(U8(0xb1), v, v, out)
			} else {
				VPERM2F128(U8(1), v, v, out)
			}
		},
	} {
		other := q.vec()
		swap(least, other)
		least = q.min(other, least)
	}
	equal := q.bits(q.compare(cmpEQ, e, least))
	all := GP32()
	for g := range q.lanes / 8 {
		eight, n, first := GP32(), GP32(), GP32()
		MOVL(negative, eight)
		ANDL(U32(0xff<<(8*g)), eight)
		POPCNTL(eight, n)
		ANDL(U8(1), n)
		NEGL(n) // all ones where odd
		MOVL(equal, first)
		ANDL(U32(0xff<<(8*g)), first)
		BLSIL(first, first)
		ANDL(n, first)
		if g == 0 {
			MOVL(first, all)
		} else {
			ORL(first, all)
		}
	}
	return all
}

// signMask has the sign bit in lanes whose bit is set.
func (q iq2) signMask(bits reg.GPVirtual, sign reg.VecVirtual) reg.VecVirtual {
	if q.wide() {
		k, v := K(), q.vec()
		KMOVW(bits, k)
		VMOVAPS_Z(sign, k, v)
		return v
	}
	v := q.vec()
	VMOVD(bits, v.AsX())
	VPBROADCASTD(v.AsX(), v)
	VPSLLVD(table("signShifts", 31, 30, 29, 28, 27, 26, 25, 24), v, v)
	return q.and(v, sign)
}

// spreadGroup stores each of the 8 lanes of a group four times.
func (q iq2) spreadGroup(v reg.VecVirtual, g int, to Mem) {
	for i := range 32 / q.lanes {
		words := make([]uint32, q.lanes)
		for j := range words {
			words[j] = uint32(8*g + (i*q.lanes+j)/4)
		}
		out := q.vec()
		VPERMPS(v, q.load(table(fmt.Sprintf("spread%s%d%d", q.name, g, i), words...)), out)
		q.store(out, to.Offset(4*i*q.lanes))
	}
}

// tops generates the tops of the runs, which the trials map to about 5: the largest magnitude, or three times the scale that
// was found before; those of the flipped weights are negative, so that they may be out of all proportion.
func (q iq2) tops() {
	q.function("tops", ") (bad int", "finds tops, sets the scale to a fifth of them if there is none, and multiplies magnitudes by weights; "+
		"bad is not 0 where roundings may leave the range in which they are exact.")
	bad := GP64()
	XORQ(bad, bad)
	for first := 0; first < 16; first += q.lanes {
		var top, far reg.VecVirtual
		for i := range q.n {
			v := q.load(q.at(iq2Lanes + i*row + 4*first))
			if i == 0 {
				top, far = v, q.abs(v)
			} else {
				top, far = q.max(v, top), q.max(q.abs(v), far)
			}
			q.store(q.mul(v, q.at(iq2Lanes+i*row+64+4*first)), q.at(iq2Lanes+i*row+4*first))
		}
		if q.n == 16 {
			q.store(q.div(top, q.eachF32(5)), q.at(iq2Scale+4*first))
		} else {
			top = q.mul(q.eachF32(3), q.at(iq2Scale+4*first))
		}
		q.store(top, q.at(iq2Top+4*first))
		q.store(far, q.at(iq2Far+4*first))
		some := q.compare(cmpGT, top, q.zero())
		ORL(q.bits(q.both(some, q.compare(cmpGT, far, q.mul(top, q.eachF32(5e5))))), bad.As32())
	}
	VZEROUPPER()
	Store(bad, ReturnIndex(0))
	RET()
}

// tries generates the inverse scales of the trials and their scales.
func (s isa) tries() {
	TEXT("triesIQ2"+s.name, attr.NOSPLIT, "func(scratch, factors *float32, trials int)")
	Pragma("noescape")
	Doc("triesIQ2" + s.name + " divides the trials' factors by the tops, which gives inverse scales, and inverts these.")
	p, factors, left := param("scratch"), param("factors"), param("trials")
	one := s.eachF32(1)
	var tops []reg.VecVirtual
	for first := 0; first < 16; first += s.lanes {
		tops = append(tops, s.load(at(p, iq2Top+4*first)))
	}
	l := label("trial")
	Label(l)
	f := s.broadcast(Mem{Base: factors})
	for i, top := range tops {
		id := s.div(f, top)
		s.store(id, at(p, iq2IDs+i*s.bytes()))
		s.store(s.div(one, id), at(p, iq2Scales+i*s.bytes()))
	}
	ADDQ(U8(4), factors)
	ADDQ(U8(64), p)
	DECQ(left)
	JNZ(LabelRef(l))
	VZEROUPPER()
	RET()
}

// codes generates the numbers of the nearest digits. nearest((p-1)/2) is at least 1 for p > 2 and at least 2 for p >= 4.
func (q iq2) codes() {
	q.function("codes", ", trials int", "rounds the magnitudes at the trials' inverse scales.")
	trials := param("trials")
	two, four := q.eachF32(2), q.eachF32(4)
	run, v := GP64(), GP64()
	XORQ(run, run)
	MOVQ(q.base, v)
	l := label("run")
	Label(l)
	var x []reg.VecVirtual
	for i := 0; i < q.n; i += q.lanes {
		x = append(x, q.load(at(v, iq2V+4*i)))
	}
	id, out, left := GP64(), GP64(), GP64()
	LEAQ(Mem{Base: q.base, Index: run, Scale: 4, Disp: iq2IDs}, id)
	LEAQ(Mem{Base: q.base, Index: run, Scale: uint8(q.k())}, out)
	MOVQ(trials, left)
	t := label("trial")
	Label(t)
	for i, x := range x {
		p := q.mul(x, q.broadcast(Mem{Base: id}))
		q.storeMask(q.compare(cmpGT, p, two), at(out, iq2More+i*q.lanes/8))
		q.storeMask(q.compare(cmpGE, p, four), at(out, iq2Most+i*q.lanes/8))
	}
	ADDQ(U8(64), id)
	ADDQ(U8(16*q.k()), out)
	DECQ(left)
	JNZ(LabelRef(t))
	ADDQ(U32(4*q.n), v)
	INCQ(run)
	CMPQ(run, U8(16))
	JL(LabelRef(l))
	q.numbers(trials)
	VZEROUPPER()
	RET()
}

func (q iq2) storeMask(m mask, to Mem) {
	if q.wide() {
		KMOVW(m, to)
		return
	}
	r := q.bits(m)
	MOVB(r.As8(), to)
}

// numbers turns bits into numbers of points, 16 at a time: a table gives the number of four bits.
func (q iq2) numbers(trials reg.GPVirtual) {
	y := isas[1]
	var words [8]uint32
	for i := range 32 {
		n, weight := 0, 1
		for b := range 4 {
			n += i % 16 >> b & 1 * weight
			weight *= 3
		}
		words[i/4] |= uint32(n) << (8 * (i % 4))
	}
	digits, low := y.load(table("numbers", words[:]...)), y.each32(0x000f000f)
	high := y.each32(81<<16 | 81)
	p, to, left := GP64(), GP64(), GP64()
	MOVQ(q.base, p)
	MOVQ(q.base, to)
	IMUL3Q(U8(q.k()), trials, left)
	l := label("numbers")
	Label(l)
	var halves [2]reg.VecVirtual
	for i, off := range []int{iq2More, iq2Most} {
		bits, upper := y.vec(), y.vec()
		VPMOVZXBW(at(p, off), bits)
		VPSRLW(U8(4), bits, upper)
		VPAND(low, bits, bits)
		for j, b := range []reg.VecVirtual{bits, upper} {
			VPSHUFB(b, digits, b)
			if i == 0 {
				halves[j] = b
			} else {
				VPADDW(b, halves[j], halves[j])
			}
		}
	}
	VPMULLW(high, halves[1], halves[1])
	VPADDW(halves[1], halves[0], halves[0])
	VMOVDQU(halves[0], at(to, iq2Numbers))
	ADDQ(U8(16), p)
	ADDQ(U8(32), to)
	DECQ(left)
	JNZ(LabelRef(l))
}
