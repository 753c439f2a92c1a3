package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

func init() {
	generators["iq3"] = func() {
		for _, s := range isas {
			for _, weighted := range []bool{false, true} {
				(&iq3{wide: s, name: "IQ3_XXS", weighted: weighted, trials: 15, even: true, tiny: 1e-8}).fit()
				(&iq3{wide: s, name: "IQ3_S", weighted: weighted, trials: 9, tiny: 1e-30}).fit()
			}
		}
	}
}

// iq3 writes a kernel that fits blocks of 32 values to a lattice, as the portable gridSearch does: one block after the other,
// all of its trials in the lanes. Where a four of values is off the grid it becomes an item of work: the errors of up to
// eight points that may take its place, one a lane. The tables are those of fitTable in package block.
type iq3 struct {
	isa          // vectors of eight
	wide     isa // vectors of the instruction set
	name     string
	weighted bool
	trials   int     // on either side of the first one
	even     bool    // an even number of signs in each eight; only points off the grid are chosen anew in the end
	tiny     float32 // groups below are left to the portable form, or are zeros

	frame, block reg.GPVirtual // the state in memory; the number of the block
	items, more  reg.GPVirtual // the numbers of items: first ones of a four, and others
	info         reg.GPVirtual // the table's entries
}

// Places in the frame.
const (
	iq3X     = 128 * iota // the block: magnitudes
	iq3W                  // weights
	iq3Roots              // of the weights
	iq3WX                 // products of weight and magnitude
	iq3Half               // halves of the trials' inverse scales
	iq3Sumqx              // sums of the trials
	iq3Sumq2
	iq3Quotients
	iq3Index  // places in the table of 32 points
	iq3Far    // the largest magnitude, and behind it the root of the largest weight
	iq3Minima // least errors of eight items
	iq3End
	iq3Scales = iq3End            // of trial t at 32*k+t for all k
	iq3Errors = iq3Scales + 4*256 // of eight items
	iq3Words  = iq3Errors + 8*32  // 256 halfwords: the points of four k in trial t at 32*k+t, four bits a level
	iq3Least  = iq3Words + 2*256
	iq3Items  = iq3Least + 4*256
	iq3More   = iq3Items + 8*(256+8)
	iq3Frame  = iq3More + 8*256*4
)

// Places in the result, fitIQ3 in package block.
const (
	iq3OutWords = 0
	iq3OutScale = 16
	iq3OutSigns = 20
	iq3OutTop   = 24
	iq3OutFlags = 28
)

const offGrid = 1 << 3 // of a word

func (g *iq3) at(n int) Mem { return at(g.frame, n) }

func (g *iq3) fit() {
	g.isa = isa{g.wide.name, 8}
	name, args := "fit"+g.name, "out *uint16, src *float32, info *uint32, lists *uint16, blocks int"
	if g.weighted {
		name, args = name+"Weighted", "out *uint16, src, importance, sigma2 *float32, info *uint32, lists *uint16, blocks int"
	}
	TEXT(name+g.isa.name, 0, "func("+args+")")
	Pragma("noescape")
	Doc(fmt.Sprintf("%s%s fits blocks of 32 values.", name, g.isa.name))
	g.frame, g.block = GP64(), GP64()
	size := iq3Frame
	if g.wide.wide() {
		size = iq3FrameWide
	}
	LEAQ(AllocLocal(size+64), g.frame)
	ADDQ(Imm(63), g.frame)
	ANDQ(I8(-64), g.frame)
	XORQ(g.block, g.block)

	Label("block")
	g.prepare()
	g.steps()
	g.search()
	Label("done")
	g.finish()
	INCQ(g.block)
	blocks := GP64()
	Load(Param("blocks"), blocks)
	CMPQ(g.block, blocks)
	JLT(LabelRef("block"))
	VZEROUPPER()
	RET()
}

// param is the block's part of an array, of so many bytes a block.
func (g *iq3) param(name string, shift uint64) reg.GPVirtual {
	p, q := GP64(), GP64()
	Load(Param(name), p)
	MOVQ(g.block, q)
	SHLQ(Imm(shift), q)
	ADDQ(q, p)
	return p
}

// count is the number of trials.
func (g *iq3) count() int { return 2*g.trials + 1 }

// chunk is a part of an array with a float for each trial: a vector.
type chunk struct {
	isa
	at int // in bytes
}

// chunks are the vectors that hold all trials.
func (g *iq3) chunks() []chunk {
	var all []chunk
	for i := 0; i < g.count(); {
		s := g.wide
		if g.count()-i <= 8 {
			s = g.isa
		}
		all = append(all, chunk{s, 4 * i})
		i += s.lanes
	}
	return all
}

// steps are the scales of the trials.
func (g *iq3) steps() {
	steps := make([]float32, 32)
	for i := range steps {
		steps[i] = 15 + float32(float32(min(i-g.trials, g.trials))*0.2)
	}
	t := table("steps"+g.name, floatBits(steps)...)
	out := g.param("out", 5)
	for _, c := range g.chunks() {
		v, scale := c.load(t.Offset(c.at)), c.vec()
		VDIVPS(c.broadcast(at(out, iq3OutTop)), v, v)
		VDIVPS(v, c.eachF32(1), scale)
		VMULPS(c.eachF32(0.5), v, v)
		c.store(v, g.at(iq3Half+c.at))
		for k := range 8 {
			c.store(scale, g.at(iq3Scales+128*k+c.at))
		}
	}
}

func (g *iq3) search() {
	g.items, g.more, g.info = GP64(), GP64(), GP64()
	Load(Param("info"), g.info)
	g.start()
	k := GP64()
	XORQ(k, k)
	Label("four")
	g.round(k)
	if g.wide.wide() {
		g.lookUp(k)
	} else {
		g.list(k)
	}
	INCQ(k)
	CMPQ(k, Imm(8))
	JLT(LabelRef("four"))
	if g.wide.wide() {
		XORQ(k, k)
		Label("lists")
		g.lists(k)
		INCQ(k)
		CMPQ(k, Imm(8))
		JLT(LabelRef("lists"))
		g.workAll()
	} else {
		g.work()
	}
	g.sums()
	g.accept()
	g.again()
}

// start empties the lists of items.
func (g *iq3) start() {
	XORQ(g.items, g.items)
	XORQ(g.more, g.more)
}

// finish says that the block is done.
func (g *iq3) finish() {
	MOVL(U32(0), at(g.param("out", 5), iq3OutFlags))
	Label("skip")
}
