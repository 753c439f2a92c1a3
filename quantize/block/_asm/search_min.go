package main

import (
	"github.com/mmcloughlin/avo/attr"
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

func init() {
	generators["search_min"] = func() {
		for _, s := range isas {
			for _, m := range []minSearch{
				{search: "Plain32", n: 32, weigh: weighMean, high: true},
				{search: "Weighted32", n: 32, weigh: weighImportance},
				{search: "Plain16", n: 16, weigh: weighMagnitude, abs: true},
				{search: "Weighted16", n: 16, weigh: weighImportance},
			} {
				m.isa = s
				m.generate()
			}
		}
	}
}

// Where the errors' weights come from: the root mean square of the group plus the magnitude, the magnitude, or
// the importance times sqrt(sigma2 + x^2).
type weighing int

const (
	weighMean weighing = iota
	weighMagnitude
	weighImportance
)

// minSearch generates the search of minSearch.fit for groups side by side: a lane for each group, which adds in
// the order of the portable form. Groups whose roundings leave the range in which they are exact are flagged.
type minSearch struct {
	isa
	search string
	n      int // elements of a group
	weigh  weighing
	abs    bool // the loss is of magnitudes, not of squares
	high   bool // roundings below 0 are rare enough to branch around their clamp

	buf, fit, flags, trials, is, left reg.GPVirtual

	magnitude reg.VecVirtual // the mask of all bits but the sign
}

// Layout of searchBuffer: rows of 32 lanes. Quants are stored two rows before elements and weights of the same place in a
// page: a load of 64 bytes seems to wait, for some physical pages, for a store to the same place in another page that is under
// way, and took searches to 3.6 times their time.
const (
	row  = 4 * 32
	offX = 0
	offW = 32 * row
	offQ = (96 - 2) * row
)

const (
	offSumX = row * (64 + iota)
	offLeast
	offHigh
	offLow
	offBest
	offTry      // the trial's inverse scale
	offTryScale // its scale and
	offTryLow   // its low, NaN where it is out
	offWidth    // of the group's range; 0 for constant groups
	offSigma
)

// Layout of minFits: 256 lanes a field.
const (
	fitScale = 1024 * iota
	fitMin
	fitInverse
	fitAt
	fitSum
)

// Layout of minTrials.
const (
	trialsTop     = 0 // the largest quant
	trialsSteps   = 4
	trialsInside  = 8 // steps that cannot round beyond the largest quant
	trialsInverse = 12
)

const unroll = 8

func (m *minSearch) generate() {
	TEXT("search"+m.search+m.name, attr.NOSPLIT, "func(b, f *float32, first, lanes int, t *float32)")
	Pragma("noescape")
	Doc("search" + m.search + m.name + " fits the groups in the buffer's first lanes and writes what it finds from position first of f.")
	base := Load(Param("b"), GP64()).(reg.GPVirtual)
	fits := Load(Param("f"), GP64()).(reg.GPVirtual)
	first := Load(Param("first"), GP64()).(reg.GPVirtual)
	count := Load(Param("lanes"), GP64()).(reg.GPVirtual)
	m.trials = Load(Param("t"), GP64()).(reg.GPVirtual)
	flags := GP64()
	MOVQ(first, flags)
	SHRQ(U8(3), flags)
	LEAQ(Mem{Base: fits, Index: flags, Scale: 1, Disp: fitFlags}, flags)
	LEAQ(Mem{Base: fits, Index: first, Scale: 4}, fits)

	m.buf, m.fit, m.flags, m.is, m.left = GP64(), GP64(), GP64(), GP64(), GP64()
	each := func(body func()) { // vector
		MOVQ(base, m.buf)
		MOVQ(fits, m.fit)
		MOVQ(flags, m.flags)
		MOVQ(count, m.left)
		l := label("vector")
		Label(l)
		body()
		ADDQ(U8(m.bytes()), m.buf)
		ADDQ(U8(m.bytes()), m.fit)
		ADDQ(U8(m.lanes/8), m.flags)
		SUBQ(U8(m.lanes), m.left)
		JG(LabelRef(l))
	}
	each(m.start)
	XORQ(m.is, m.is)
	trial := label("trial")
	Label(trial)
	each(m.sums)
	each(m.loss)
	INCQ(m.is)
	CMPL(m.is.As32(), m.trial(trialsSteps))
	JL(LabelRef(trial))
	each(m.finish)
	VZEROUPPER()
	RET()
}

func (m *minSearch) lane(off int) Mem             { return Mem{Base: m.buf, Disp: off} }
func (m *minSearch) found(off int) Mem            { return Mem{Base: m.fit, Disp: off} }
func (m *minSearch) trial(off int) Mem            { return Mem{Base: m.trials, Disp: off} }
func (m *minSearch) state(off int) reg.VecVirtual { return m.load(m.lane(off)) }

// elements runs body for the elements of a group, with operands that address one of them.
func (m *minSearch) elements(body func(x, w, q Mem)) {
	p, left := GP64(), GP64()
	MOVQ(m.buf, p)
	MOVQ(U32(m.n/unroll), left)
	l := label("element")
	Label(l)
	for i := range unroll {
		at := func(off int) Mem { return Mem{Base: p, Disp: off + i*row} }
		body(at(offX), at(offW), at(offQ))
	}
	ADDQ(U32(unroll*row), p)
	DECQ(left)
	JNZ(LabelRef(l))
}
