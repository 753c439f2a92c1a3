package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// add8 adds to qx and q2 the terms of group k, whose points words are.
func (q iq2) add8(qx, q2, levels, words reg.VecVirtual, k, first int) {
	for i := range 8 {
		index := words
		if i > 0 {
			index = q.vec()
			VPSRLD(U8(4*i), words, index)
		}
		level := q.vec()
		VPERMPS(levels, index, level)
		lanes := runLanes + (8*k+i)*row + 4*first
		VADDPS(q.mul(level, q.at(lanes)), qx, qx)
		wq := q.mul(level, q.at(lanes+64))
		VADDPS(q.mul(wq, level), q2, q2)
	}
}

// sums generates the choice of the best trial.
func (q iq2) sums() {
	q.function("choose", ", trials int", "finds the best of the trials, its scale and its points, and makes of the scale the first trial.")
	trials := param("trials")
	levels := q.levels()
	for first := 0; first < 16; first += q.lanes {
		best, scale, chosen := q.zero(), q.load(q.at(runScale+4*first)), q.each32(0xffffffff)
		p, left, number := GP64(), GP64(), q.zero()
		MOVQ(q.base, p)
		MOVQ(trials, left)
		l := label("trial")
		Label(l)
		qx, q2 := q.zero(), q.zero()
		for k, words := range q.words(p, first) {
			q.add8(qx, q2, levels, words, k, first)
		}
		better := q.both(q.compare(cmpGT, q2, q.zero()), q.compare(cmpGT, q.mul(qx, qx), q.mul(best, q2)))
		fit := q.div(qx, q2)
		q.update(better, fit, scale)
		q.update(better, q.mul(fit, qx), best)
		q.update(better, number, chosen)
		VPADDD(q.each32(uint32(16*q.k())), number, number)
		ADDQ(U32(64*q.k()), p)
		DECQ(left)
		JNZ(LabelRef(l))
		q.store(scale, q.at(runScale+4*first))
		q.gather(chosen, first)
		q.store(scale, q.at(runScales+4*first))
		q.store(q.div(q.eachF32(1), scale), q.at(runIDs+4*first))
	}
	VZEROUPPER()
	RET()
}

// update moves the lanes of v in the mask to out.
func (s isa) update(m mask, v, out reg.VecVirtual) {
	if s.wide() {
		VMOVAPS(v, m, out)
	} else {
		VBLENDVPS(m, v, out, out)
	}
}

// gather stores the points of the chosen trials, the first one where none was.
func (q iq2) gather(chosen reg.VecVirtual, first int) {
	for k := range q.k() {
		words := make([]uint32, q.lanes)
		for i := range words {
			words[i] = uint32((first+i)*q.k() + k)
		}
		index := q.vec()
		VPADDD(q.load(table(fmt.Sprintf("words%s%d%d", q.name, q.n, k)+string(rune('0'+first/8)), words...)), chosen, index)
		v := q.zero()
		m := Mem{Base: q.base, Index: index, Scale: 4, Disp: runWords}
		if q.wide() {
			some := K()
			VPCMPD(U8(5), q.zero(), chosen, some) // at least 0
			VPGATHERDD(m, some, v)
		} else {
			none, some := q.vec(), q.vec()
			VPCMPEQD(none, none, none)
			VPCMPGTD(none, chosen, some)
			VPGATHERDD(some, m, v)
		}
		q.store(v, q.at(runChosen+64*k+4*first))
	}
}

// refine generates the last step.
func (q iq2) refine() {
	q.function("refine", ") (bad int", "takes the points of the words of one trial at the runs' own scales, where the chosen ones were searched, and fits the scales; "+
		"bad is not 0 where roundings may have left the range in which they are exact.")
	levels := q.levels()
	bad := GP64()
	XORQ(bad, bad)
	for first := 0; first < 16; first += q.lanes {
		scale := q.load(q.at(runScale + 4*first))
		positive := q.compare(cmpGT, scale, q.zero())
		qx, q2 := q.zero(), q.zero()
		var any mask
		for k, words := range q.words(q.base, first) {
			at := q.at(runChosen + 64*k + 4*first)
			old := q.load(at)
			searched := positive
			if q.n == 16 { // runs of 32 are rounded once more in any case
				searched = q.both(positive, q.negative(old))
			}
			q.update(searched, words, old)
			q.store(old, at)
			if k == 0 {
				any = searched
			} else {
				any = q.either(any, searched)
			}
			q.add8(qx, q2, levels, old, k, first)
		}
		far := q.compare(cmpNLE, q.div(q.load(q.at(runFar+4*first)), scale), q.eachF32(4e6))
		ORL(q.bits(q.both(any, far)), bad.As32())
		any = q.both(any, q.compare(cmpGT, q2, q.zero()))
		q.update(any, q.div(qx, q2), scale)
		q.store(scale, q.at(runScale+4*first))
	}
	VZEROUPPER()
	Store(bad, ReturnIndex(0))
	RET()
}

// negative is the mask of lanes whose highest bit is set.
func (q runs) negative(v reg.VecVirtual) mask {
	if q.wide() {
		m := mask{K()}
		VPMOVD2M(v, m)
		return m
	}
	return mask{v}
}
