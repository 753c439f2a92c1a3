package main

import (
	"github.com/mmcloughlin/avo/attr"
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

func init() {
	generators["signed"] = func() {
		avx2 := isas[1] // stores bound the loading, and larger ones are no faster
		signedLoad{isa: avx2, bare: true}.generate()
		signedLoad{isa: avx2}.generate()
		signedLoad{isa: avx2, weighted: true}.generate()
		signedLoad{isa: avx2, weighted: true, important: true}.generate()
		for _, s := range isas {
			(&signedFit{isa: s}).generate()
		}
	}
}

// tinyGroup is the magnitude below which a group is taken for zeros.
const tinyGroup = 1e-15

// signedFit generates the search of fitSigned for 16 groups side by side: a lane for each group, which adds in the order
// of the portable form.
type signedFit struct {
	isa
	groups, chunks, table reg.GPVirtual
	top, bottom           reg.VecVirtual // n-1 and -n
	scale, inverse, best  reg.VecVirtual // of the best trial so far
	a, b                  signedTrial
}

// signedTrial is an inverse scale with its sums of w*x*q and w*q*q.
type signedTrial struct{ inverse, sumlx, suml2 reg.VecVirtual }

func (f *signedFit) trial() signedTrial { return signedTrial{f.vec(), f.vec(), f.vec()} }

func (f *signedFit) generate() {
	TEXT("fitSigned"+f.name, attr.NOSPLIT, "func(groups, trials *float32, chunks int)")
	Pragma("noescape")
	Doc("fitSigned" + f.name + " finds scale and inverse of groups of 16*chunks elements.")
	f.groups, f.chunks, f.table = Load(Param("groups"), GP64()).(reg.GPVirtual), GP64(), GP64()
	trials := Load(Param("trials"), GP64()).(reg.GPVirtual)
	f.top, f.bottom = f.broadcast(at(trials, 0)), f.broadcast(at(trials, 4))
	for first := 0; first < 16; first += f.lanes {
		f.scale, f.inverse, f.best, f.a, f.b = f.vec(), f.vec(), f.vec(), f.trial(), f.trial()
		LEAQ(at(trials, 8), f.table)
		f.first()
		f.next()
		// |x*inverse| is below n-1/2 in the first four trials, and below n+1/2 in the next nine.
		f.pairs(2, false, false)
		f.pairs(4, true, false)
		f.pairs(3, true, true)
		f.finish()
		if first+f.lanes < 16 {
			ADDQ(U8(4*f.lanes), f.groups)
		}
	}
	VZEROUPPER()
	RET()
}

// next divides the table's next entries, for the two trials to come.
func (f *signedFit) next() {
	for i, t := range []signedTrial{f.a, f.b} {
		VBROADCASTSS(at(f.table, 4*i), t.inverse)
		VDIVPS(at(f.groups, signedTop), t.inverse, t.inverse)
	}
	ADDQ(U8(8), f.table)
}

// first tries the scale that maps the largest magnitude to -n.
func (f *signedFit) first() {
	VBROADCASTSS(at(f.table, 0), f.inverse)
	VDIVPS(at(f.groups, signedTop), f.inverse, f.inverse)
	ADDQ(U8(4), f.table)
	t := signedTrial{f.inverse, f.vec(), f.vec()}
	f.sums(true, false, t)
	VMOVAPS(f.only(f.compare(cmpUnequal, t.suml2, f.zero()), f.div(t.sumlx, t.suml2)), f.scale)
	VMULPS(t.sumlx, f.scale, f.best)
}

// pairs tries 2*n scales, two at a time to keep the adders busy.
func (f *signedFit) pairs(n int, top, bottom bool) {
	count, l := GP64(), label("pair")
	MOVQ(U32(n), count)
	Label(l)
	f.sums(top, bottom, f.a, f.b)
	a, b := f.vec(), f.vec()
	VMOVAPS(f.a.inverse, a)
	VMOVAPS(f.b.inverse, b)
	f.next()
	f.update(a, f.a)
	f.update(b, f.b)
	DECQ(count)
	JNZ(LabelRef(l))
}

// sums adds up w*x*q and w*q*q for each trial. q is clamped where the trials need it.
func (f *signedFit) sums(top, bottom bool, trials ...signedTrial) {
	p, left, l := GP64(), GP64(), label("chunk")
	MOVQ(f.groups, p)
	MOVQ(f.chunks, left)
	for _, t := range trials {
		VXORPS(t.sumlx, t.sumlx, t.sumlx)
		VXORPS(t.suml2, t.suml2, t.suml2)
	}
	Label(l)
	for i := range 16 {
		element := at(p, i*signedRow)
		x := f.load(element)
		q := make([]reg.VecVirtual, len(trials))
		for k, t := range trials {
			q[k] = f.mul(x, t.inverse)
		}
		for _, q := range q {
			f.round(q)
			if top {
				VMINPS(f.top, q, q)
			}
			if bottom { // bits of floats are ordered as unsigned integers from positive ones to -Inf; more units can compare those
				VPMINUD(f.bottom, q, q)
			}
		}
		for k, t := range trials {
			VADDPS(f.mul(q[k], element.Offset(signedWX)), t.sumlx, t.sumlx)
			wq := f.mul(q[k], element.Offset(signedW))
			VMULPS(q[k], wq, wq)
			VADDPS(wq, t.suml2, t.suml2)
		}
	}
	ADDQ(U32(16*signedRow), p)
	DECQ(left)
	JNZ(LabelRef(l))
}

// update keeps a trial that is better than the best before.
func (f *signedFit) update(inverse reg.VecVirtual, t signedTrial) {
	better := f.compare(cmpGT, t.suml2, f.zero())
	better = f.compareIn(better, cmpGT, f.mul(t.sumlx, t.sumlx), f.mul(f.best, t.suml2))
	scale := f.div(t.sumlx, t.suml2)
	f.set(better, scale, f.scale)
	f.set(better, inverse, f.inverse)
	f.set(better, f.mul(scale, t.sumlx), f.best)
}

// finish stores the fits. Groups of zeros have none.
func (f *signedFit) finish() {
	some := f.compare(cmpGE, f.load(at(f.groups, signedMost)), f.eachF32(tinyGroup))
	f.store(f.only(some, f.scale), at(f.groups, signedScale))
	f.store(f.only(some, f.inverse), at(f.groups, signedInverse))
}
