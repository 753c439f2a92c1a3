package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// start finds range, weights and sums of the groups, and the loss of the fit that maps the range to all quants.
func (m *minSearch) start() {
	m.magnitude = m.each32(0x7fffffff)
	sumW, sumX, least, high := m.weights()
	VMOVUPS(sumW, m.found(fitSum))
	VMOVUPS(sumX, m.lane(offSumX))

	zero := m.zero()
	low := m.vec()
	VMINPS(least, zero, low)
	width := m.sub(high, low)
	VMOVUPS(width, m.lane(offWidth))
	sign := m.each32(0x80000000)
	low2 := m.vec()
	VXORPS(sign, low, low2)
	VMOVUPS(low2, m.found(fitMin))
	// Constant groups are done, but their lanes run on, with the range 0 to 1.
	same := m.compare(cmpEQ, high, low)
	low = m.choose(same, zero, low)
	least = m.choose(same, zero, least)
	high = m.choose(same, m.eachF32(1), high)
	VMOVUPS(least, m.lane(offLeast))
	VMOVUPS(high, m.lane(offHigh))
	VMOVUPS(low, m.lane(offLow))

	width = m.sub(high, low)
	inverse := m.div(m.broadcast(m.trial(trialsTop)), width)
	scale := m.div(m.eachF32(1), inverse)
	VMOVUPS(inverse, m.found(fitInverse))
	VMOVUPS(low, m.found(fitAt))
	VMOVUPS(scale, m.found(fitScale))
	m.orBits(m.outside(m.mul(m.sub(least, low), inverse), m.mul(width, inverse)), Mem{Base: m.flags})
	e := m.zero()
	m.elements(func(x, w, _ Mem) {
		v := m.load(x)
		q := m.mul(m.sub(v, low), inverse)
		m.round(q)
		m.addLoss(e, v, w, m.mul(q, scale), low)
	})
	VMOVUPS(e, m.lane(offBest))
}

// outside is the mask of lanes where the least or the largest argument of a rounding is out of the range of inMagic.
func (m *minSearch) outside(least, largest reg.VecVirtual) mask {
	return m.either(m.compare(cmpNGE, least, m.eachF32(-4194303)), m.compare(cmpNLE, largest, m.eachF32(4194303)))
}

// addLoss adds the loss of the value scaled + low for x to e.
func (m *minSearch) addLoss(e, x reg.VecVirtual, w Op, scaled, low reg.VecVirtual) {
	diff := m.sub(m.add(scaled, low), x)
	if m.abs {
		VANDPS(m.magnitude, diff, diff)
	} else {
		VMULPS(diff, diff, diff)
	}
	VMULPS(w, diff, diff)
	VADDPS(diff, e, e)
}

// sums quantizes with the trial's inverse scale and solves for scale and low.
func (m *minSearch) sums() {
	low := m.state(offLow)
	width := m.sub(m.state(offHigh), low)
	inverse := m.div(m.broadcast(Mem{Base: m.trials, Index: m.is, Scale: 4, Disp: trialsInverse}), width)
	VMOVUPS(inverse, m.lane(offTry))
	least := m.mul(m.sub(m.state(offLeast), low), inverse)
	largest := m.mul(width, inverse)
	done := label("solve")
	sumL, sumL2, sumXL := m.zero(), m.zero(), m.zero()
	var inside string
	if m.high {
		inside = label("inside")
		m.jumpNone(m.either(m.compare(cmpNGE, least, m.eachF32(-0.5)), m.compare(cmpNLE, largest, m.eachF32(4194303))), inside)
	}
	m.orBits(m.outside(least, largest), Mem{Base: m.flags})
	m.sumsWithin(true, done, low, inverse, sumL, sumL2, sumXL)
	if m.high {
		Label(inside)
		m.sumsWithin(false, done, low, inverse, sumL, sumL2, sumXL)
	}
	Label(done)
	m.solve(sumL, sumL2, sumXL)
}

// sumsWithin adds up the sums with a clamp at 0, or without, and with a clamp at the largest quant where the trial needs it.
func (m *minSearch) sumsWithin(clampLow bool, done string, low, inverse, sumL, sumL2, sumXL reg.VecVirtual) {
	inside := label("inside")
	CMPL(m.is.As32(), m.trial(trialsInside))
	JL(LabelRef(inside))
	for _, clampHigh := range []bool{true, false} {
		if !clampHigh {
			Label(inside)
		}
		var zero, top reg.VecVirtual
		if clampLow {
			zero = m.zero()
		}
		if clampHigh {
			top = m.broadcast(m.trial(trialsTop))
		}
		m.elements(func(x, w, q Mem) {
			v := m.load(x)
			l := m.mul(m.sub(v, low), inverse)
			m.round(l)
			// Floats of one sign are ordered as their bits, and the units of integers are the less busy ones.
			if clampLow {
				VPMAXSD(zero, l, l)
			}
			if clampHigh {
				VPMINSD(top, l, l)
			}
			VMOVUPS(l, q)
			wl := m.mul(l, w)
			VADDPS(wl, sumL, sumL)
			VADDPS(m.mul(wl, l), sumL2, sumL2)
			VADDPS(m.mul(wl, v), sumXL, sumXL)
		})
		JMP(LabelRef(done))
	}
}

// solve finds scale and low of the trial by least squares.
func (m *minSearch) solve(sumL, sumL2, sumXL reg.VecVirtual) {
	sumW, sumX := m.load(m.found(fitSum)), m.state(offSumX)
	det := m.sub(m.mul(sumW, sumL2), m.mul(sumL, sumL))
	scale := m.div(m.sub(m.mul(sumW, sumXL), m.mul(sumX, sumL)), det)
	low := m.div(m.sub(m.mul(sumL2, sumX), m.mul(sumL, sumXL)), det)
	zero := m.zero()
	positive := m.compare(cmpGT, low, zero)
	below := label("below")
	VMOVUPS(scale, m.lane(offTryScale))
	m.jumpNone(positive, below)
	m.storeWhere(positive, m.div(sumXL, sumL2), m.lane(offTryScale))
	VMOVAPS(m.choose(positive, zero, low), low)
	Label(below)
	VMOVUPS(m.choose(m.compare(cmpGT, det, zero), low, m.each32(0x7fc00000)), m.lane(offTryLow))
}

// loss keeps the trial where its loss is less than the best one.
func (m *minSearch) loss() {
	if m.abs {
		m.magnitude = m.each32(0x7fffffff)
	}
	scale, low, e := m.state(offTryScale), m.state(offTryLow), m.zero()
	m.elements(func(x, w, q Mem) {
		m.addLoss(e, m.load(x), w, m.mul(scale, q), low)
	})
	better := m.compare(cmpLT, e, m.lane(offBest))
	m.storeWhere(better, e, m.lane(offBest))
	m.storeWhere(better, scale, m.found(fitScale))
	m.storeWhere(better, m.state(offTry), m.found(fitInverse))
	m.storeWhere(better, m.state(offLow), m.found(fitAt))
	m.storeWhere(better, low, m.lane(offLow))
}

// finish gives constant groups their fit, and flags those that are not finite.
func (m *minSearch) finish() {
	zero := m.zero()
	same := m.compare(cmpEQ, zero, m.lane(offWidth))
	low := m.vec()
	VXORPS(m.each32(0x80000000), m.state(offLow), low)
	low = m.choose(same, m.load(m.found(fitMin)), low)
	VMOVUPS(low, m.found(fitMin))
	for _, off := range []int{fitScale, fitInverse, fitAt} {
		m.storeWhere(same, zero, m.found(off))
	}
	scale := m.load(m.found(fitScale))
	bad := m.bits(m.either(m.notFinite(scale), m.notFinite(low)))
	keep := m.bits(same)
	NOTL(keep)
	if m.wide() {
		ANDW(keep.As16(), Mem{Base: m.flags})
		ORW(bad.As16(), Mem{Base: m.flags})
	} else {
		ANDB(keep.As8(), Mem{Base: m.flags})
		ORB(bad.As8(), Mem{Base: m.flags})
	}
}

// weights writes the weights and returns the sums of w and w*x and the least and the largest x.
func (m *minSearch) weights() (sumW, sumX, least, high reg.VecVirtual) {
	var mean, sigma2 reg.VecVirtual
	least, high = m.state(offX), m.state(offX)
	bound := func(v reg.VecVirtual) {
		VMINPS(least, v, least) // v < least ? v : least
		VMAXPS(high, v, high)
	}
	switch m.weigh {
	case weighMean:
		mean = m.zero()
		m.elements(func(x, _, _ Mem) {
			v := m.load(x)
			bound(v)
			VADDPS(m.mul(v, v), mean, mean)
		})
		VMULPS(m.eachF32(1.0/32), mean, mean)
		VSQRTPS(mean, mean)
	case weighImportance:
		sigma2 = m.state(offSigma)
	}
	// The portable sums begin with the first term, not with 0; that they may be -0 has no effect.
	sumW, sumX = m.zero(), m.zero()
	m.elements(func(x, w, _ Mem) {
		v := m.load(x)
		weight := m.vec()
		switch m.weigh {
		case weighMean:
			VANDPS(m.magnitude, v, weight)
			VADDPS(mean, weight, weight)
		case weighMagnitude:
			bound(v)
			VANDPS(m.magnitude, v, weight)
		case weighImportance:
			bound(v)
			VADDPS(m.mul(v, v), sigma2, weight)
			VSQRTPS(weight, weight)
			VMULPS(w, weight, weight)
		}
		VMOVUPS(weight, w)
		VADDPS(weight, sumW, sumW)
		VADDPS(m.mul(weight, v), sumX, sumX)
	})
	return sumW, sumX, least, high
}
