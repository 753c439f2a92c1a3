package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/attr"
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// runs generates the steps of the IQ2 encoders for 16 runs of n weights side by side.
type runs struct {
	isa
	n    int
	base reg.GPVirtual
}

// Layout of runScratch.
const (
	runV       = 0     // magnitudes, run by run
	runW       = 2048  // their weights
	runLanes   = 4096  // rows of 32: an element of the 16 runs, then its weights
	runSpread  = 8192  // by run and group: every magnitude four times, then every root of a weight
	runIDs     = 24576 // inverse scales of the trials, each of the 16 runs
	runScales  = 25856 // and the scales
	runMore    = 27136 // a bit for digits of at least 1, by trial, run and group
	runMost    = 28416 // for digits of 2
	runEnds    = 27136 // later in their place: all ones for points that the trial before or the next one has not
	runNumbers = 29696 // in the same order
	runWords   = 32256 // points, in the same order
	runList    = 37376 // indices of words to search
	runScale   = 39936 // of each run
	runTop     = 40000
	runChosen  = 40064                      // points, by group and run
	runFar     = 40320                      // largest magnitudes
	runSigns   = 40384                      // by run and group
	runShifts  = 40448                      // by group and run: 0 for values shifted up, 16 down
	runSplit   = 40704                      // of each run
	runKeys    = 40768                      // rows of 16: values as ordered integers with their places in the lowest bits
	runSorted  = 42816                      // in ascending order, with one more that is above all
	runSums    = 44928                      // rows of sums, see iq1_divide.go
	runBack    = 44928                      // words that follow, see fill
	runSlacks  = 70528                      // by trial: what the errors of each of the 16 runs must differ by
	runShares  = 71808                      // of each of the 16 runs, what slacks are made of
	runBest    = 71936                      // of a batch of searches, each lane's least errors
	runSecond  = runBest + searchBatch*64   // and second least ones
	runWhere   = runSecond + searchBatch*64 // and the places of the least ones
	runLeast   = runWhere + searchBatch*64  // the least errors
)

const (
	spreadBytes = 256
	searchBatch = 64
)

func (q runs) k() int { return q.n / 8 }

// function starts a kernel; the first parameter is the scratch.
func (q *runs) function(name, params, doc string) {
	name = fmt.Sprintf("%s%d%s", name, q.n, q.name)
	TEXT(name, attr.NOSPLIT, "func(scratch *float32"+params+")")
	Pragma("noescape")
	Doc(name + " " + doc)
	q.base = Load(Param("scratch"), GP64()).(reg.GPVirtual)
}

func (q runs) at(off int) Mem { return Mem{Base: q.base, Disp: off} }

// param loads a parameter.
func param(name string) reg.GPVirtual { return Load(Param(name), GP64()).(reg.GPVirtual) }

// limits beyond which errors may overflow.
const (
	runMaxWeight = 1e20
	runMaxValue  = 1e12
)

// runWeights is how the first step of an encoder sees weights.
type runWeights struct {
	name   string
	weight weightForm
	even   bool // an even number of signs in each group
	signed bool // values keep their signs, and errors are weighted by weights, not by their roots
}

type weightForm int

const (
	importantWeight weightForm = iota // importance * sqrt(sigma2 + x^2)
	quarterWeight                     // sigma2/4 + x^2
	squareWeight                      // x^2
)

// weigh generates the first step: magnitudes, signs and weights of runs.
func (q runs) weigh(h runWeights) {
	q.function("weigh"+h.name, ", x, importance *float32, first, runs int, sigma2 float32) (bad int",
		"computes values, signs and weights of runs from the first; bad is not 0 where errors may overflow.")
	x, w := param("x"), param("importance")
	first, left := param("first"), param("runs")
	sigma := q.vec()
	VBROADCASTSS(NewParamAddr("sigma2", 40), sigma)
	spread, signs := GP64(), GP64()
	v := GP64()
	MOVQ(first, v)
	IMUL3Q(U32(4*q.n), v, v)
	ADDQ(q.base, v)
	IMUL3Q(U8(q.k()), first, first)
	LEAQ(Mem{Base: q.base, Index: first, Scale: 1, Disp: runSigns}, signs)
	MOVQ(first, spread)
	SHLQ(U8(8), spread)
	LEAQ(Mem{Base: q.base, Index: spread, Scale: 1, Disp: runSpread}, spread)
	bad := GP64()
	XORQ(bad, bad)
	if h.weight == quarterWeight {
		VMULPS(q.eachF32(0.25), sigma, sigma)
	}
	l := label("run")
	Label(l)
	for i := 0; i < q.n; i += q.lanes {
		f := q.load(at(x, 4*i))
		weight := q.weight(h.weight, f, sigma, at(w, 4*i))
		q.store(weight, at(v, runW+4*i))
		value := f
		if !h.signed {
			value = q.magnitude(f, weight, h.even, at(signs, i/8))
		}
		q.store(value, at(v, runV+4*i))
		tooLarge := q.either(q.compare(cmpNLE, weight, q.eachF32(runMaxWeight)), q.compare(cmpNLE, q.abs(f), q.eachF32(runMaxValue)))
		tooLarge = q.either(tooLarge, q.compare(cmpNGE, weight, q.zero()))
		ORL(q.bits(tooLarge), bad.As32())
		if !h.signed {
			VSQRTPS(weight, weight)
		}
		for g := range q.lanes / 8 {
			to := at(spread, (i/8+g)*spreadBytes)
			q.spreadGroup(value, g, to)
			q.spreadGroup(weight, g, to.Offset(128))
		}
	}
	ADDQ(U32(4*q.n), x)
	if h.weight == importantWeight {
		ADDQ(U32(4*q.n), w)
	}
	ADDQ(U32(4*q.n), v)
	ADDQ(U8(q.k()), signs)
	ADDQ(U32(q.k()*spreadBytes), spread)
	DECQ(left)
	JNZ(LabelRef(l))
	VZEROUPPER()
	Store(bad, ReturnIndex(0))
	RET()
}

func (q runs) weight(form weightForm, f, sigma reg.VecVirtual, importance Mem) reg.VecVirtual {
	weight := q.mul(f, f)
	if form != squareWeight {
		VADDPS(sigma, weight, weight)
	}
	if form == importantWeight {
		VSQRTPS(weight, weight)
		VMULPS(importance, weight, weight)
	}
	return weight
}

// magnitude returns magnitudes and stores signs; of an odd number of signs in a group the least important one is wrong.
func (q runs) magnitude(f, weight reg.VecVirtual, even bool, signs Mem) reg.VecVirtual {
	negative := q.bits(q.compare(cmpLT, f, q.zero()))
	magnitude := q.abs(f)
	if even {
		XORL(q.flips(q.mul(q.mul(weight, f), f), negative), negative)
		magnitude = q.xor(f, q.signMask(negative, q.each32(signBit)))
	}
	if q.wide() {
		MOVW(negative.As16(), signs)
	} else {
		MOVB(negative.As8(), signs)
	}
	return magnitude
}

// flips are the lanes to flip: the first of least error of each eight of which an odd number is negative.
func (q runs) flips(e reg.VecVirtual, negative reg.GPVirtual) reg.GPVirtual {
	equal := q.bits(q.compare(cmpEQ, e, q.eights(e, q.min)))
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

// eights has op over each eight lanes in all of these.
func (q runs) eights(v reg.VecVirtual, op func(a, b reg.VecVirtual) reg.VecVirtual) reg.VecVirtual {
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
		swap(v, other)
		v = op(other, v)
	}
	return v
}

// signMask has the sign bit in lanes whose bit is set.
func (q runs) signMask(bits reg.GPVirtual, sign reg.VecVirtual) reg.VecVirtual {
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
func (q runs) spreadGroup(v reg.VecVirtual, g int, to Mem) {
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
