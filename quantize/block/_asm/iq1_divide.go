package main

import (
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Values of digits, shifted up and down.
var shiftedIQ1 = [2][3]float32{{-0.875, 0.125, 1.125}, {-1.125, -0.125, 0.875}}

// Parts of a row of runSums, see divideIQ1_S: of runs of 32, what the third part of a division adds to the sums of
// products and of weights, by shift, then what the first part adds; of runs of 16, by half, of weights alone, first and
// second end by shift.
const (
	partThirdX = sumsParts
	partThirdW = sumsParts + 128
	partFirstX = sumsParts + 256
	partFirstW = sumsParts + 384

	partFrom = sumsParts       // + 128*shift + 64*half
	partTo   = sumsParts + 256 // + 128*shift + 64*half
)

// divide generates the search of the best division of each run.
func (q iq1) divide() {
	q.function("divide", ") (bad int", "tries all divisions of the sorted runs in three parts; bits of bad say for which runs sums of weights may be too small.")
	bad := GP64()
	XORQ(bad, bad)
	for first := 0; first < 16; first += q.lanes {
		d := division{iq1: q, first: first}
		d.parts()
		small := q.bits(d.small())
		if first > 0 {
			SHLL(U8(first), small)
		}
		ORL(small, bad.As32())
		d.search()
	}
	VZEROUPPER()
	Store(bad, ReturnIndex(0))
	RET()
}

// division is the search of as many runs as there are lanes.
type division struct {
	iq1
	first               int
	from, to            reg.GPVirtual // rows of the division's ends
	best, scale, chosen reg.VecVirtual
}

func (d *division) row(p reg.GPVirtual, off int) Mem { return at(p, runSums+off+4*d.first) }

// total is the last row's sum.
func (d *division) total(off int) reg.VecVirtual {
	return d.load(d.at(runSums + sumsRow*d.n + off + 4*d.first))
}

// small is the mask of lanes where weights are so small that products with them may vanish.
func (d *division) small() mask {
	sum := d.total(sumsW)
	if d.halves() == 2 {
		VADDPS(d.total(sumsW+64), sum, sum)
	}
	return d.both(d.compare(cmpGT, sum, d.zero()), d.compare(cmpLT, sum, d.eachF32(tinyWeight)))
}

// parts writes what the sums of divisions are made of.
func (d *division) parts() {
	p, left := GP64(), GP64()
	MOVQ(d.base, p)
	MOVQ(U32(d.n+1), left)
	l := label("part")
	Label(l)
	for shift, v := range shiftedIQ1 {
		if d.halves() == 1 {
			d.parts32(p, shift, v)
		} else {
			d.parts16(p, shift, v)
		}
	}
	ADDQ(U32(sumsRow), p)
	DECQ(left)
	JNZ(LabelRef(l))
}

func (d *division) parts32(p reg.GPVirtual, shift int, v [3]float32) {
	x, w := d.load(d.row(p, sumsX)), d.load(d.row(p, sumsW))
	low, high := d.eachF32(v[0]), d.eachF32(v[2])
	d.store(d.mul(x, low), d.row(p, partFirstX+64*shift))
	d.store(d.mul(d.mul(w, low), low), d.row(p, partFirstW+64*shift))
	d.store(d.mul(d.sub(d.total(sumsX), x), high), d.row(p, partThirdX+64*shift))
	d.store(d.mul(d.mul(d.sub(d.total(sumsW), w), high), high), d.row(p, partThirdW+64*shift))
}

func (d *division) parts16(p reg.GPVirtual, shift int, v [3]float32) {
	high := d.eachF32(v[2])
	for h := range 2 {
		w := d.load(d.row(p, sumsW+64*h))
		all := d.mul(d.mul(d.total(sumsW+64*h), high), high)
		d.store(d.add(all, d.mul(w, d.eachF32(v[0]*v[0]-v[1]*v[1]))), d.row(p, partFrom+128*shift+64*h))
		d.store(d.mul(w, d.eachF32(v[1]*v[1]-v[2]*v[2])), d.row(p, partTo+128*shift+64*h))
		// Once is enough, but rows are all the same.
		d.store(d.mul(d.total(sumsX+64*h), high), d.at(runTotals+128*shift+64*h+4*d.first))
	}
}

// search tries all divisions. place counts them: the ends in the lowest two bytes.
func (d *division) search() {
	d.from, d.to = GP64(), GP64()
	start, place, last := GP32(), GP32(), GP64()
	LEAQ(d.at(sumsRow*d.n), last)
	d.guess(last)
	d.scale, d.chosen = d.zero(), d.each32(0xffffffff)
	XORL(start, start)
	MOVQ(d.base, d.from)
	outer, inner, update, next, done := label("from"), label("to"), label("update"), label("next"), label("done")
	Label(outer)
	MOVQ(d.from, d.to)
	MOVL(start, place)
	Label(inner)
	sums, shifts := d.sums()
	var any mask
	for i := range shifts {
		if m := d.better(sums(i)); i == 0 {
			any = m
		} else {
			any = d.either(any, m)
		}
	}
	d.jumpAny(any, update)
	Label(next)
	ADDL(U32(0x100), place)
	ADDQ(U32(sumsRow), d.to)
	CMPQ(d.to, last)
	JLE(LabelRef(inner))
	ADDL(U32(0x101), start)
	ADDQ(U32(sumsRow), d.from)
	CMPQ(d.from, last)
	JLE(LabelRef(outer))
	d.store(d.scale, d.at(runScale+4*d.first))
	d.store(d.chosen, d.at(runSplit+4*d.first))
	JMP(LabelRef(done))

	Label(update) // the shifts one after the other, since each may be better than the last
	for i := range shifts {
		qx, q2 := sums(i)
		m, fit, now := d.better(qx, q2), d.div(qx, q2), GP32()
		d.update(m, fit, d.scale)
		d.update(m, d.mul(fit, qx), d.best)
		LEAL(Mem{Base: place, Disp: i << 16}, now)
		d.update(m, d.broadcastGP(now), d.chosen)
	}
	JMP(LabelRef(next))
	Label(done)
}

// guess sets best to a little less than what is best of some divisions. Searches of all that begin with this or with less end
// the same: what they keep may differ as long as it is within rounding of the same score, which steps of that size cannot carry
// from here to the best one; the first larger step is the same for both. But few divisions are better than the guess.
func (d *division) guess(last reg.GPVirtual) {
	const step = 4 * sumsRow
	d.best = d.zero()
	MOVQ(d.base, d.from)
	outer, inner := label("from"), label("to")
	Label(outer)
	MOVQ(d.from, d.to)
	Label(inner)
	sums, shifts := d.sums()
	for i := range shifts {
		qx, q2 := sums(i)
		VMULPS(qx, qx, qx)
		VMAXPS(d.best, d.div(qx, q2), d.best) // NaN, of no weights, counts for nothing
	}
	ADDQ(U32(step), d.to)
	CMPQ(d.to, last)
	JLE(LabelRef(inner))
	ADDQ(U32(step), d.from)
	CMPQ(d.from, last)
	JLE(LabelRef(outer))
	some := d.compare(cmpGT, d.best, d.eachF32(1e-25))
	d.best = d.choose(some, d.mul(d.best, d.eachF32(0.999)), d.eachF32(-math.MaxFloat32))
}

// better is the mask of lanes where sums are of a better division than the best one.
func (d *division) better(qx, q2 reg.VecVirtual) mask {
	return d.compare(cmpGT, d.mul(qx, qx), d.mul(d.best, q2))
}

// broadcastGP is a vector of an integer.
func (s isa) broadcastGP(r reg.GPVirtual) reg.VecVirtual {
	v := s.vec()
	if s.wide() {
		VPBROADCASTD(r, v)
	} else {
		VMOVD(r, v.AsX())
		VPBROADCASTD(v.AsX(), v)
	}
	return v
}

// sums are those of products and of weights of the division, by shift.
func (d *division) sums() (of func(shift int) (qx, q2 reg.VecVirtual), shifts int) {
	if d.halves() == 1 {
		return d.sums32(), 2
	}
	return d.sums16(), 4
}

func (d *division) sums32() func(shift int) (qx, q2 reg.VecVirtual) {
	eighth := d.eachF32(0.125)
	x := d.load(d.row(d.to, sumsX))
	VSUBPS(d.row(d.from, sumsX), x, x)
	VMULPS(eighth, x, x)
	w := d.load(d.row(d.to, sumsW))
	VSUBPS(d.row(d.from, sumsW), w, w)
	VMULPS(eighth, w, w)
	VMULPS(eighth, w, w)
	var qx, q2 [2]reg.VecVirtual
	for shift := range 2 {
		s := d.load(d.row(d.from, partFirstX+64*shift))
		if shift == 0 {
			VADDPS(x, s, s)
		} else {
			VSUBPS(x, s, s)
		}
		VADDPS(d.row(d.to, partThirdX+64*shift), s, s)
		qx[shift] = s
		q2[shift] = d.add(d.add(w, d.row(d.from, partFirstW+64*shift)), d.row(d.to, partThirdW+64*shift))
	}
	return func(shift int) (reg.VecVirtual, reg.VecVirtual) { return qx[shift], q2[shift] }
}

func (d *division) sums16() func(shift int) (qx, q2 reg.VecVirtual) {
	var x, w [2][2]reg.VecVirtual // by half and shift
	for h := range 2 {
		s := d.add(d.load(d.row(d.from, sumsX+64*h)), d.row(d.to, sumsX+64*h))
		for shift := range 2 {
			x[h][shift] = d.sub(d.load(d.at(runTotals+128*shift+64*h+4*d.first)), s)
			w[h][shift] = d.add(d.load(d.row(d.from, partFrom+128*shift+64*h)), d.row(d.to, partTo+128*shift+64*h))
		}
	}
	return func(shift int) (qx, q2 reg.VecVirtual) {
		return d.add(x[0][shift>>1], x[1][shift&1]), d.add(w[0][shift>>1], w[1][shift&1])
	}
}
