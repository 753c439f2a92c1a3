package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// iq1 generates the steps of the IQ1 encoders. Sums are kept by group for runs of 16, whose groups are shifted one by one.
type iq1 struct{ runs }

func (q iq1) halves() int { return map[int]int{16: 2, 32: 1}[q.n] }

// Layout of a row of runSums: for each half sums of products and of weights, then what makes sums of divisions of them.
const (
	sumsRow    = 768
	sumsX      = 0
	sumsW      = 128
	sumsParts  = 256
	runTotals  = runSums + 33*sumsRow // by shift and half: the sum of products, times the largest value
	runPairs   = runTotals            // numbers of pairs of groups, later
	noKey      = 0x7fffffff
	tinyWeight = 1e-20
)

// sort generates the order of the runs' values and the sums in that order. Values that agree but for the bits that their places
// take in the keys may come out in the wrong order.
func (q iq1) sort() {
	q.function("sort", ") (bad int", "sorts the runs and adds up products and weights; bits of bad say which came out in the wrong order.")
	bad := GP64()
	XORQ(bad, bad)
	for first := 0; first < 16; first += q.lanes {
		q.keys(first)
		s := &sorter{iq1: q, at: func(i int) Mem { return q.at(runSorted + 64*i + 4*first) }, keys: map[int]reg.VecVirtual{}}
		for half := 0; half < q.n; half += 16 {
			s.sort16(half)
		}
		if q.n == 32 {
			s.merge()
		}
		q.store(q.each32(noKey), q.at(runSorted+64*q.n+4*first))
		wrong := q.bits(q.sumUp(first))
		if first > 0 {
			SHLL(U8(first), wrong)
		}
		ORL(wrong, bad.As32())
	}
	VZEROUPPER()
	Store(bad, ReturnIndex(0))
	RET()
}

// keys writes them, and the largest magnitudes.
func (q iq1) keys(first int) {
	var top reg.VecVirtual
	for i := range q.n {
		v := q.add(q.zero(), q.at(runLanes+i*row+4*first)) // -0 is 0
		if a := q.abs(v); i == 0 {
			top = a
		} else {
			top = q.max(a, top)
		}
		sign := q.vec()
		VPSRAD(U8(31), v, sign)
		key := q.xor(v, q.and(sign, q.each32(0x7fffffff)))
		key = q.or(q.and(key, q.each32(uint32(-q.n)&0xffffffff)), q.each32(uint32(i)))
		q.store(key, q.at(runKeys+64*i+4*first))
		q.store(key, q.at(runSorted+64*i+4*first))
	}
	q.store(top, q.at(runTop+4*first))
}

// sorter holds keys in registers where there are enough of them.
type sorter struct {
	iq1
	at   func(i int) Mem
	keys map[int]reg.VecVirtual
}

func (s *sorter) load(i int) reg.VecVirtual {
	if s.keys[i] == nil {
		return s.iq1.load(s.at(i))
	}
	return s.keys[i]
}

func (s *sorter) store(i int, key reg.VecVirtual) {
	if s.wide() {
		s.keys[i] = key
	} else {
		s.iq1.store(key, s.at(i))
	}
}

// order puts the lesser one of two keys first.
func (s *sorter) order(i, j int) {
	a, b, less, more := s.load(i), s.load(j), s.vec(), s.vec()
	VPMINSD(b, a, less)
	VPMAXSD(b, a, more)
	s.store(i, less)
	s.store(j, more)
}

// flush stores what is in registers.
func (s *sorter) flush() {
	for i := range 32 {
		if key := s.keys[i]; key != nil {
			s.iq1.store(key, s.at(i))
			delete(s.keys, i)
		}
	}
}

// sort16 sorts 16 keys by Batcher's odd-even merge sort.
func (s *sorter) sort16(half int) {
	for p := 1; p < 16; p *= 2 {
		for k := p; k >= 1; k /= 2 {
			for j := k % p; j+k < 16; j += 2 * k {
				for i := j; i < min(j+k, 16-k); i++ {
					if i/(2*p) == (i+k)/(2*p) {
						s.order(half+i, half+i+k)
					}
				}
			}
		}
	}
	s.flush()
}

// merge merges two sorted halves of 16: what is least of either end, and what is largest, are bitonic.
func (s *sorter) merge() {
	for i := range 16 {
		s.order(i, 31-i)
		if s.wide() {
			s.iq1.store(s.keys[31-i], s.at(31-i))
			delete(s.keys, 31-i)
		}
	}
	s.bitonic(0)
	s.bitonic(16)
}

func (s *sorter) bitonic(half int) {
	for k := 8; k >= 1; k /= 2 {
		for i := range 16 {
			if i&k == 0 {
				s.order(half+i, half+i+k)
			}
		}
	}
	s.flush()
}

// sumUp adds up products and weights in the order of the keys. It returns the mask of runs out of order.
func (q iq1) sumUp(first int) mask {
	halves := q.halves()
	var x, w [2]reg.VecVirtual
	for h := range halves {
		x[h], w[h] = q.zero(), q.zero()
		q.store(x[h], q.at(runSums+sumsX+64*h+4*first))
		q.store(w[h], q.at(runSums+sumsW+64*h+4*first))
	}
	lane := q.lane(first)
	sorted, sums, left := GP64(), GP64(), GP64()
	MOVQ(q.base, sorted)
	MOVQ(q.base, sums)
	MOVQ(U32(q.n), left)
	last, wrong := q.eachF32(-1e38), q.zero()
	l := label("element")
	Label(l)
	index := q.and(q.load(at(sorted, runSorted+4*first)), q.each32(uint32(q.n-1)))
	var second mask
	if halves == 2 {
		second = q.greater(index, q.each32(7))
	}
	VPSLLD(U8(5), index, index)
	VPADDD(lane, index, index)
	value, weight := q.gatherAt(index, runLanes), q.gatherAt(index, runLanes+64)
	// A lane stays wrong: its flag is a float that is not 0.
	q.update(q.compare(cmpGT, last, value), q.eachF32(1), wrong)
	VMOVAPS(value, last)
	product := q.mul(value, weight)
	for h := range halves {
		p, v := product, weight
		if halves == 2 {
			p, v = q.part(second, h, product), q.part(second, h, weight)
		}
		VADDPS(p, x[h], x[h])
		VADDPS(v, w[h], w[h])
		q.store(x[h], at(sums, runSums+sumsRow+sumsX+64*h+4*first))
		q.store(w[h], at(sums, runSums+sumsRow+sumsW+64*h+4*first))
	}
	ADDQ(U8(64), sorted)
	ADDQ(U32(sumsRow), sums)
	DECQ(left)
	JNZ(LabelRef(l))
	return q.compare(cmpNEQ, wrong, q.zero())
}

// part is v in the lanes of the second half, or of the first one, and 0 in the others. Adding that changes no sum: none is -0.
func (q iq1) part(second mask, h int, v reg.VecVirtual) reg.VecVirtual {
	if h == 1 {
		return q.only(second, v)
	}
	out := q.vec()
	if q.wide() {
		first := K()
		KNOTW(second, first)
		VMOVAPS_Z(v, first, out)
	} else {
		VPANDN(v, second, out)
	}
	return out
}

// gatherAt loads floats at indices behind an offset.
func (q runs) gatherAt(index reg.VecVirtual, off int) reg.VecVirtual {
	v := q.zero()
	m := Mem{Base: q.base, Index: index, Scale: 4, Disp: off}
	if q.wide() {
		all := K()
		KXNORW(all, all, all)
		VGATHERDPS(m, all, v)
	} else {
		all := q.vec()
		VPCMPEQD(all, all, all)
		VGATHERDPS(all, m, v)
	}
	return v
}
