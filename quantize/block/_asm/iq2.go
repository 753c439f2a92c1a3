package main

import (
	"github.com/mmcloughlin/avo/attr"
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

func init() {
	generators["iq2"] = func() {
		for _, s := range isas {
			for _, n := range []int{16, 32} {
				q := iq2{runs{isa: s, n: n}}
				q.weigh(runWeights{name: "Even", even: true})
				if n == 16 {
					q.weigh(runWeights{name: "Signed"})
					q.weigh(runWeights{name: "Plain", weight: quarterWeight})
				} else {
					q.scale()
				}
				q.tops()
				q.codes()
				q.sums()
				q.refine()
			}
			s.tries()
		}
	}
}

// iq2 generates the steps of the IQ2 encoders.
type iq2 struct{ runs }

// tops generates the tops of the runs, which the trials map to about 5: the largest magnitude, or three times the scale that
// was found before; those of the flipped weights are negative, so that they may be out of all proportion.
func (q iq2) tops() {
	q.function("tops", ") (bad int", "finds tops, sets the scale to a fifth of them if there is none, and multiplies magnitudes by weights; "+
		"bad is not 0 where roundings may leave the range in which they are exact.")
	bad := GP64()
	XORQ(bad, bad)
	for first := 0; first < 16; first += q.lanes {
		var top, far reg.VecVirtual
		roots, squares := q.zero(), q.zero()
		for i := range q.n {
			v := q.load(q.at(runLanes + i*row + 4*first))
			if i == 0 {
				top, far = v, q.abs(v)
			} else {
				top, far = q.max(v, top), q.max(q.abs(v), far)
			}
			w, root := q.load(q.at(runLanes+i*row+64+4*first)), q.vec()
			VSQRTPS(w, root)
			VADDPS(root, roots, roots)
			VADDPS(q.mul(q.mul(root, v), v), squares, squares)
			q.store(q.mul(v, w), q.at(runLanes+i*row+4*first))
		}
		// No two errors of points under a scale s are in doubt that differ by more than 2^-15 times the sum of
		// root*(25*s^2 + x^2), which is 128 times what rounding may amount to.
		const share = 1.0 / (1 << 15)
		q.store(q.mul(roots, q.eachF32(25*share)), q.at(runShares+4*first))
		q.store(q.add(q.mul(squares, q.eachF32(share)), q.eachF32(1e-30)), q.at(runShares+64+4*first))
		if q.n == 16 {
			q.store(q.div(top, q.eachF32(5)), q.at(runScale+4*first))
		} else {
			top = q.mul(q.eachF32(3), q.at(runScale+4*first))
		}
		q.store(top, q.at(runTop+4*first))
		q.store(far, q.at(runFar+4*first))
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
	one, shares := s.eachF32(1), GP64()
	LEAQ(at(p, runShares), shares)
	var tops []reg.VecVirtual
	for first := 0; first < 16; first += s.lanes {
		tops = append(tops, s.load(at(p, runTop+4*first)))
	}
	l := label("trial")
	Label(l)
	f := s.broadcast(Mem{Base: factors})
	for i, top := range tops {
		id := s.div(f, top)
		s.store(id, at(p, runIDs+i*s.bytes()))
		scale := s.div(one, id)
		s.store(scale, at(p, runScales+i*s.bytes()))
		slack := s.mul(s.mul(scale, scale), at(shares, i*s.bytes()))
		s.store(s.add(slack, at(shares, 64+i*s.bytes())), at(p, runSlacks+i*s.bytes()))
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
		x = append(x, q.load(at(v, runV+4*i)))
	}
	id, out, left := GP64(), GP64(), GP64()
	LEAQ(Mem{Base: q.base, Index: run, Scale: 4, Disp: runIDs}, id)
	LEAQ(Mem{Base: q.base, Index: run, Scale: uint8(q.k())}, out)
	MOVQ(trials, left)
	t := label("trial")
	Label(t)
	for i, x := range x {
		p := q.mul(x, q.broadcast(Mem{Base: id}))
		q.storeMask(q.compare(cmpGT, p, two), at(out, runMore+i*q.lanes/8))
		q.storeMask(q.compare(cmpGE, p, four), at(out, runMost+i*q.lanes/8))
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
	for i, off := range []int{runMore, runMost} {
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
	VMOVDQU(halves[0], at(to, runNumbers))
	ADDQ(U8(16), p)
	ADDQ(U8(32), to)
	DECQ(left)
	JNZ(LabelRef(l))
	q.ends(trials)
}

// ends marks the points that trials before or after them have not.
func (q iq2) ends(trials reg.GPVirtual) {
	y := isas[1]
	size := 32 * q.k() // of a trial's numbers
	p, left := GP64(), GP64()
	MOVQ(q.base, p)
	all := y.vec()
	VPCMPEQD(all, all, all)
	for i := 0; i < size; i += 32 { // the first trial
		VMOVDQU(all, at(p, runEnds+i))
	}
	LEAQ(Mem{Base: trials, Disp: -1}, left)
	l, done := label("ends"), label("done")
	TESTQ(left, left)
	JZ(LabelRef(done))
	Label(l)
	ADDQ(U32(size), p)
	for i := 0; i < size; i += 32 {
		v, same, next := y.load(at(p, runNumbers+i)), y.vec(), y.vec()
		VPCMPEQW(at(p, runNumbers+i-size), v, same)
		VPCMPEQW(at(p, runNumbers+i+size), v, next)
		VPAND(next, same, same)
		VPXOR(all, same, same)
		VMOVDQU(same, at(p, runEnds+i))
	}
	DECQ(left)
	JNZ(LabelRef(l))
	for i := 0; i < size; i += 32 { // the last trial
		VMOVDQU(all, at(p, runEnds+i))
	}
	Label(done)
}
