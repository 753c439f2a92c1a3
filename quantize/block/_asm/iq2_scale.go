package main

import (
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// scale generates fitScales for 16 runs of 32 magnitudes and quants of 0..4. Quants are kept, as floats, where the words
// will be.
func (q iq2) scale() {
	q.function("scale", "", "finds the scales with which quants of 0 to 4, bound to no grid, fit the runs best.")
	for first := 0; first < 16; first += q.lanes {
		r := scaleRuns{iq2: q, first: first}
		r.generate()
	}
	VZEROUPPER()
	RET()
}

// scaleRuns generates the part of as many runs as there are lanes.
type scaleRuns struct {
	iq2
	first int
	p     reg.GPVirtual
}

const (
	scaleN   = 4
	quantRow = 64
)

// elements runs body for all elements.
func (r *scaleRuns) elements(body func(v reg.VecVirtual, w, quant Mem)) {
	const unroll = 4
	quants, left := GP64(), GP64()
	r.p = GP64()
	MOVQ(r.base, r.p)
	MOVQ(r.base, quants)
	MOVQ(U32(32/unroll), left)
	l := label("element")
	Label(l)
	for i := range unroll {
		lanes := runLanes + i*row + 4*r.first
		body(r.load(at(r.p, lanes)), at(r.p, lanes+64), at(quants, runWords+i*quantRow+4*r.first))
	}
	ADDQ(U32(unroll*row), r.p)
	ADDQ(U32(unroll*quantRow), quants)
	DECQ(left)
	JNZ(LabelRef(l))
}

func (r *scaleRuns) generate() {
	top := r.zero()
	r.elements(func(v reg.VecVirtual, _, _ Mem) { VMAXPS(v, top, top) })
	inverse := r.bestInverse(top)
	sumLX, sumL2 := r.zero(), r.zero()
	r.elements(func(v reg.VecVirtual, w, quant Mem) {
		l := r.nearest(r.mul(inverse, v))
		f := r.float(l)
		r.store(r.float(r.byteOf(l)), quant)
		VADDPS(r.mul(r.mul(v, w), f), sumLX, sumLX)
		VADDPS(r.mul(r.mul(f, w), f), sumL2, sumL2)
	})
	r.improve(sumLX, sumL2)
	scale := r.only(r.compare(cmpGT, sumL2, r.zero()), r.div(sumLX, sumL2))
	scale = r.only(r.compare(cmpGE, top, r.eachF32(1e-15)), scale)
	r.store(scale, r.at(runScale+4*r.first))
}

// nearest is nearestInt, at most 4, as integers.
func (r *scaleRuns) nearest(f reg.VecVirtual) reg.VecVirtual {
	n := r.add(f, r.eachF32(12582912))
	n = r.and(n, r.each32(0x7fffff))
	VPSUBD(r.each32(0x400000), n, n)
	VPMINSD(r.each32(scaleN), n, n)
	return n
}

// byteOf is an integer as the reference's bytes hold it.
func (r *scaleRuns) byteOf(n reg.VecVirtual) reg.VecVirtual { return r.and(n, r.each32(255)) }

func (r *scaleRuns) float(n reg.VecVirtual) reg.VecVirtual {
	f := r.vec()
	VCVTDQ2PS(n, f)
	return f
}

// bestInverse tries nine inverse scales.
func (r *scaleRuns) bestInverse(top reg.VecVirtual) reg.VecVirtual {
	one := r.eachF32(1)
	inverse := r.div(r.eachF32(scaleN), top)
	best := r.zero()
	scale := r.div(one, inverse)
	r.elements(func(v reg.VecVirtual, w, _ Mem) {
		// Here the reference does not bound the quants; none is above 4 for being the largest.
		f := r.float(r.byteOf(r.nearest(r.mul(inverse, v))))
		r.addError(best, v, w, r.mul(scale, f))
	})
	factors, left := GP64(), GP64()
	LEAQ(r.factors(), factors)
	MOVQ(U32(8), left)
	l := label("try")
	Label(l)
	try := r.div(r.broadcast(Mem{Base: factors}), top)
	scale = r.div(one, try)
	e := r.zero()
	r.elements(func(v reg.VecVirtual, w, _ Mem) {
		f := r.float(r.nearest(r.mul(try, v)))
		r.addError(e, v, w, r.mul(scale, f))
	})
	less := r.compare(cmpLT, e, best)
	r.update(less, e, best)
	r.update(less, try, inverse)
	ADDQ(U8(4), factors)
	DECQ(left)
	JNZ(LabelRef(l))
	return inverse
}

// factors are those of the inverse scales: 0.1*k + 4, of products rounded to float32.
func (r *scaleRuns) factors() Mem {
	var words []uint32
	for _, k := range []float32{-4, -3, -2, -1, 1, 2, 3, 4} {
		tenth := float32(0.1)
		product := tenth * k
		words = append(words, math.Float32bits(product+scaleN))
	}
	return table("scaleFactors", words...)
}

// addError adds the weighted squared error of a value to e.
func (r *scaleRuns) addError(e, v reg.VecVirtual, w Mem, value reg.VecVirtual) {
	diff := r.sub(v, value)
	t := r.mul(diff, w)
	VMULPS(diff, t, t)
	VADDPS(t, e, e)
}

// improve moves single quants for the better, in at most five rounds; rounds without a change change nothing more.
func (r *scaleRuns) improve(sumLX, sumL2 reg.VecVirtual) {
	zero := r.zero()
	rounds := GP64()
	MOVQ(U32(5), rounds)
	l, done := label("round"), label("done")
	Label(l)
	changed := GP32()
	XORL(changed, changed)
	r.elements(func(v reg.VecVirtual, w, quant Mem) {
		old := r.load(quant)
		wx := r.mul(v, w)
		lx := r.sub(sumLX, r.mul(wx, old))
		l2 := r.sub(sumL2, r.mul(r.mul(old, w), old))
		next := r.nearest(r.div(r.mul(v, l2), lx))
		f := r.float(next)
		better := r.both(r.both(r.compare(cmpGT, lx, zero), r.compare(cmpGT, l2, zero)), r.compare(cmpNEQ, f, old))
		VADDPS(r.mul(wx, f), lx, lx)
		VADDPS(r.mul(r.mul(f, w), f), l2, l2)
		better = r.both(better, r.compare(cmpGT, r.mul(r.mul(lx, lx), sumL2), r.mul(r.mul(sumLX, sumLX), l2)))
		r.update(better, lx, sumLX)
		r.update(better, l2, sumL2)
		r.storeWhere(better, r.float(r.byteOf(next)), quant)
		ORL(r.bits(better), changed)
	})
	TESTL(changed, changed)
	JZ(LabelRef(done))
	DECQ(rounds)
	JNZ(LabelRef(l))
	Label(done)
}
