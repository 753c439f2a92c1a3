package main

import (
	"fmt"
	"math"

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

// prepare finds the magnitudes, signs and weights of the block. It leaves blocks that are small, or have a value with the
// wrong sign that is much larger than the others.
func (g *iq3) prepare() {
	src := g.param("src", 7)
	var importance reg.GPVirtual
	var sigma reg.VecVirtual
	if g.weighted {
		importance = g.param("importance", 7)
		sigma = g.broadcast(at(g.param("sigma2", 2), 0))
	}
	out := g.param("out", 5)
	heaviest, far, top, signs := g.zero(), g.zero(), g.vec(), GP32()
	magnitude, zero := g.each32(0x7fffffff), g.zero()
	XORL(signs, signs)
	for j := 0; j < 32; j += 8 {
		x, w := g.load(at(src, 4*j)), g.vec()
		negative := GP32()
		VMOVMSKPS(g.lessThan(x, zero), negative)
		VMULPS(x, x, w)
		if g.weighted {
			VADDPS(sigma, w, w)
			VSQRTPS(w, w)
			VMULPS(at(importance, 4*j), w, w)
		}
		g.store(w, g.at(iq3W+4*j))
		VPMAXUD(w, heaviest, heaviest) // bits: NaN and what is below 0 are more than all numbers
		roots := g.vec()
		VSQRTPS(w, roots)
		g.store(roots, g.at(iq3Roots+4*j))
		VANDPS(magnitude, x, x)
		g.store(x, g.at(iq3X+4*j))
		VMAXPS(x, far, far)
		if g.even {
			g.makeEven(j, negative, x, w)
			ANDL(Imm(127), negative)
			SHLL(Imm(uint64(7*(j/8))), negative)
		} else {
			SHLL(Imm(uint64(j)), negative)
		}
		ORL(negative, signs)
	}
	for j := 0; j < 32; j += 8 {
		x, wx := g.load(g.at(iq3X+4*j)), g.vec()
		VMULPS(g.at(iq3W+4*j), x, wx)
		g.store(wx, g.at(iq3WX+4*j))
		if j == 0 {
			VMOVAPS(x, top)
		} else {
			VMAXPS(x, top, top)
		}
	}
	g.most(heaviest, VPMAXUD)
	VSQRTSS(heaviest.AsX(), heaviest.AsX(), heaviest.AsX())
	VMOVSS(heaviest.AsX(), g.at(iq3Far+4))
	g.most(top, VMAXPS)
	g.most(far, VMAXPS)
	MOVL(signs, at(out, iq3OutSigns))
	VMOVSS(top.AsX(), at(out, iq3OutTop))
	VMOVSS(far.AsX(), g.at(iq3Far))
	MOVL(U32(1), at(out, iq3OutFlags))
	limit := XMM()
	VUCOMISS(const32(math.Float32bits(g.tiny)), top.AsX())
	JB(LabelRef("skip"))
	VMULSS(const32(math.Float32bits(1<<17)), top.AsX(), limit)
	VUCOMISS(far.AsX(), limit)
	JB(LabelRef("skip"))
	VMULSS(const32(math.Float32bits(4)), far.AsX(), limit)
	g.bound(limit)
}

// bound leaves blocks whose errors may overflow: those of differences up to this.
func (g *iq3) bound(difference reg.VecVirtual) {
	most := XMM()
	VMULSS(difference, difference, difference)
	VMULSS(g.at(iq3Far+4), difference, difference)
	VMOVSS(const32(math.Float32bits(math.MaxFloat32/16)), most)
	VUCOMISS(difference, most)
	JBE(LabelRef("skip")) // or where it is no number
}

// lessThan is a vector mask, also with AVX-512.
func (g *iq3) lessThan(a, b reg.VecVirtual) reg.VecVirtual {
	v := YMM()
	VCMPPS(Imm(cmpLT), b, a, v)
	return v
}

// most folds a vector of eight by an instruction, in all lanes of its first four.
func (g *iq3) most(v reg.VecVirtual, inst func(...Op)) {
	x := XMM()
	VEXTRACTF128(Imm(1), v, x)
	inst(x, v.AsX(), v.AsX())
	for _, order := range []uint64{0x4e, 0xb1} {
		VPERMILPS(Imm(order), v.AsX(), x)
		inst(x, v.AsX(), v.AsX())
	}
}

// firstLeast is the number of the first lane that holds the least value, which is left in all lanes of v's first four.
func (g *iq3) firstLeast(v reg.VecVirtual) reg.GPVirtual {
	least, same, first := YMM(), YMM(), GP32()
	VMOVAPS(v, least)
	g.most(v, VMINPS)
	VINSERTF128(Imm(1), v.AsX(), v, same)
	VCMPPS(Imm(cmpEQ), least, same, same)
	VMOVMSKPS(same, first)
	TZCNTL(first, first)
	return first
}

// makeEven gives the value that matters least, the first of these, the wrong sign if the number of signs is odd.
func (g *iq3) makeEven(j int, negative reg.GPVirtual, x, w reg.VecVirtual) {
	loss, odd, sign := g.vec(), GP32(), GP32()
	VMULPS(x, w, loss)
	VMULPS(x, loss, loss)
	first := g.firstLeast(loss)
	ANDL(Imm(7), first) // where there is none
	POPCNTL(negative, odd)
	ANDL(Imm(1), odd)
	MOVL(odd, sign)
	SHLL(Imm(31), sign)
	XORL(sign, Mem{Base: g.frame, Disp: iq3X + 4*j, Index: first, Scale: 4})
	SHLXL(first, odd, odd)
	XORL(odd, negative)
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

// roundingSlack is how near to the middle of two levels a value may be without a doubt which of these is nearer, in any
// of the ways to compute it.
const roundingSlack = 1. / 16384

// nearestIQ3 rounds values to levels, in the low bits, given halves of the inverse scales; doubt is what was cut off.
func (s isa) nearestIQ3(values, half Op, inverse reg.VecVirtual) (level, doubt reg.VecVirtual) {
	const magic = 3 << 22
	y, r := s.vec(), s.vec()
	VMULPS(values, inverse, y)
	VSUBPS(half, y, y)
	VADDPS(s.everyF32(magic), y, r)
	if s.wide() {
		VREDUCEPS(Imm(0), y, y)
	} else {
		rounded := s.vec()
		VROUNDPS(Imm(0), y, rounded)
		VSUBPS(rounded, y, y)
	}
	VPMAXSD(s.everyF32(magic), r, r)
	VPMINSD(s.everyF32(magic+7), r, r)
	return r, y
}

// round finds the places in the table of the points of four k in all trials.
func (g *iq3) round(k reg.GPVirtual) {
	p := GP64()
	MOVQ(k, p)
	SHLQ(Imm(4), p)
	ADDQ(g.frame, p)
	for _, c := range g.chunks() {
		half, inverse := c.eachF32(0.5), c.load(g.at(iq3Half+c.at))
		var index, doubt reg.VecVirtual
		for n := range 4 {
			level, d := c.nearestIQ3(c.broadcast(at(p, iq3X+4*n)), half, inverse)
			if n == 0 {
				index, doubt = level, d
				continue
			}
			VPSLLD(Imm(uint64(3*n)), level, level)
			index, doubt = c.or(index, level), c.maxAbs(doubt, d)
		}
		c.store(c.place(index, doubt), g.at(iq3Index+c.at))
	}
}

// place is the place in the table of a point, in the second half where there is a doubt.
func (s isa) place(index, doubt reg.VecVirtual) reg.VecVirtual {
	index = s.and(index, s.each32(0xfff))
	limit := s.eachF32(0.5 - roundingSlack)
	unsure := s.compare(cmpGE, s.abs(doubt), limit)
	if s.wide() {
		VPORD_BCST(const32(0x1000), index, unsure, index)
		return index
	}
	return s.or(index, s.and(unsure, s.each32(0x1000)))
}

// list makes items of the trials of four k.
func (g *iq3) list(k reg.GPVirtual) {
	index, place, end := GP64(), GP64(), GP64()
	LEAQ(g.at(iq3Index), index)
	MOVQ(k, place)
	SHLQ(Imm(5), place)
	LEAQ(Mem{Base: place, Disp: g.count()}, end)
	Label("trial")
	g.item(Mem{Base: index}, place)
	ADDQ(Imm(4), index)
	INCQ(place)
	CMPQ(place, end)
	JLT(LabelRef("trial"))
}

// item looks up the point at an index, writes it as the word of a place and appends what there is to do to the items. The
// table's entries hold a word of 15 bits, the number of lists of eight points, and the first of these. An item holds the
// offset of a list and, from bit 32 on, the place.
func (g *iq3) item(index Mem, place reg.GPVirtual) {
	e, lists, item := GP64(), GP64(), GP64()
	few, next := label("few"), label("next")
	MOVL(index, e.As32())
	MOVL(Mem{Base: g.info, Index: e, Scale: 4}, e.As32())
	MOVW(e.As16(), g.word(place))
	MOVL(e.As32(), lists.As32())
	SHRL(Imm(18), e.As32())
	SHLL(Imm(4), e.As32())
	SHRL(Imm(15), lists.As32())
	ANDL(Imm(7), lists.As32())
	MOVQ(place, item)
	SHLQ(Imm(32), item)
	ORQ(e, item)
	MOVQ(item, Mem{Base: g.frame, Disp: iq3Items, Index: g.items, Scale: 8})
	ADDQ(Imm(16), item)
	MOVQ(item, Mem{Base: g.frame, Disp: iq3More, Index: g.more, Scale: 8})
	CMPL(lists.As32(), Imm(1)) // each comparison carries unless there are so many lists
	SBBQ(I8(-1), g.items)
	CMPL(lists.As32(), Imm(2))
	SBBQ(I8(-1), g.more)
	SUBL(Imm(2), lists.As32())
	JLE(LabelRef(few))
	Label(next)
	ADDQ(Imm(16), item)
	MOVQ(item, Mem{Base: g.frame, Disp: iq3More, Index: g.more, Scale: 8})
	INCQ(g.more)
	DECL(lists.As32())
	JNZ(LabelRef(next))
	Label(few)
}

func (g *iq3) word(place reg.GPVirtual) Mem {
	return Mem{Base: g.frame, Disp: iq3Words, Index: place, Scale: 2}
}

func (g *iq3) least(place reg.GPVirtual) Mem {
	return Mem{Base: g.frame, Disp: iq3Least, Index: place, Scale: 4}
}

// levelsIQ3 are the values of levels, for three and for four bits.
func levelsIQ3() Mem {
	levels := make([]float32, 16)
	for i := range levels {
		levels[i] = float32(2*(i&7) + 1)
	}
	return table("levelsIQ3", floatBits(levels)...)
}

// work does all items: it leaves the point with the least error in the words. Eight items are done at a time; the last of
// them is done again to make up for missing ones.
func (g *iq3) work() {
	levels, lists := g.load(levelsIQ3()), GP64()
	Load(Param("lists"), lists)
	g.firstItems(levels, lists)
	g.moreItems(levels, lists)
}

func (g *iq3) firstItems(levels reg.VecVirtual, lists reg.GPVirtual) {
	p, end, last := GP64(), GP64(), GP64()
	batch, none := label("batch"), label("none")
	TESTQ(g.items, g.items)
	JZ(LabelRef(none))
	LEAQ(g.at(iq3Items), p)
	LEAQ(Mem{Base: p, Index: g.items, Scale: 8}, end)
	MOVQ(at(end, -8), last)
	for i := range 7 {
		MOVQ(last, at(end, 8*i))
	}
	Label(batch)
	for i := range 8 {
		g.store(g.errors(lists, levels, [][2]Mem{{at(p, 8*i), at(p, 8*i+4)}})[0], g.at(iq3Errors+32*i))
	}
	g.store(g.reduce(func(i int) reg.VecVirtual { return g.load(g.at(iq3Errors + 32*i)) }, g.min), g.at(iq3Minima))
	for i := range 8 {
		first, offset, place, bits := GP64(), GP64(), GP64(), GP32()
		same := g.broadcast(g.at(iq3Minima + 4*i))
		VCMPPS(Imm(cmpEQ), g.at(iq3Errors+32*i), same, same)
		VMOVMSKPS(same, first.As32())
		MOVL(at(p, 8*i), offset.As32())
		MOVL(at(p, 8*i+4), place.As32())
		TZCNTL(first.As32(), first.As32())
		ADDQ(lists, offset)
		MOVWLZX(Mem{Base: offset, Index: first, Scale: 2}, first.As32())
		MOVL(g.at(iq3Minima+4*i), bits)
		MOVW(first.As16(), g.word(place))
		MOVL(bits, g.least(place))
	}
	ADDQ(Imm(64), p)
	CMPQ(p, end)
	JLT(LabelRef(batch))
	Label(none)
}

func (g *iq3) moreItems(levels reg.VecVirtual, lists reg.GPVirtual) {
	p, end, offset, place := GP64(), GP64(), GP64(), GP64()
	item, worse, none := label("item"), label("worse"), label("none")
	TESTQ(g.more, g.more)
	JZ(LabelRef(none))
	LEAQ(g.at(iq3More), p)
	LEAQ(Mem{Base: p, Index: g.more, Scale: 8}, end)
	Label(item)
	e := g.errors(lists, levels, [][2]Mem{{at(p, 0), at(p, 4)}})[0]
	MOVL(at(p, 0), offset.As32())
	MOVL(at(p, 4), place.As32())
	ADDQ(lists, offset)
	first := g.firstLeast(e)
	MOVWLZX(Mem{Base: offset, Index: first, Scale: 2}, offset.As32())
	VUCOMISS(g.least(place), e.AsX())
	JAE(LabelRef(worse))
	MOVW(offset.As16(), g.word(place))
	VMOVSS(e.AsX(), g.least(place))
	Label(worse)
	ADDQ(Imm(8), p)
	CMPQ(p, end)
	JLT(LabelRef(item))
	Label(none)
}

// errors are those of the eight points of each of some items: the offset of a list, and a place. One step is taken for all of them before the next, so that
// little waits for results.
func (g *iq3) errors(lists reg.GPVirtual, levels reg.VecVirtual, items [][2]Mem) []reg.VecVirtual {
	n := len(items)
	values, words, scaled := make([]reg.GPVirtual, n), make([]reg.VecVirtual, n), make([]reg.VecVirtual, n)
	d, e := make([][4]reg.VecVirtual, n), make([][4]reg.VecVirtual, n)
	each := func(f func(i, j int)) {
		for i := range n {
			for j := range 4 {
				f(i, j)
			}
		}
	}
	for i, item := range items {
		points, place := GP64(), GP64()
		words[i] = g.vec()
		MOVL(item[0], points.As32())
		VPMOVZXWD(Mem{Base: lists, Index: points, Scale: 1}, words[i])
		MOVL(item[1], place.As32())
		scaled[i] = g.broadcast(Mem{Base: g.frame, Disp: iq3Scales, Index: place, Scale: 4})
		SHRL(Imm(1), place.As32())
		ANDL(Imm(0x70), place.As32())
		values[i] = place
	}
	for i := range items {
		VMULPS(levels, scaled[i], scaled[i])
	}
	each(func(i, j int) {
		x := Mem{Base: g.frame, Disp: iq3X + 4*j, Index: values[i], Scale: 1}
		d[i][j] = g.vec()
		if g.wide.wide() {
			VSUBPS_BCST(x, scaled[i], d[i][j])
		} else {
			VSUBPS(g.broadcast(x), scaled[i], d[i][j])
		}
	})
	each(func(i, j int) {
		e[i][j] = g.vec()
		g.mulEach(Mem{Base: g.frame, Disp: iq3Roots + 4*j, Index: values[i], Scale: 1}, d[i][j], e[i][j])
	})
	each(func(i, j int) { VMULPS(d[i][j], e[i][j], e[i][j]) })
	for j := range 4 {
		for i := range n {
			if j > 0 {
				VPSRLD(Imm(4), words[i], words[i])
			}
			VPERMPS(e[i][j], words[i], e[i][j])
		}
	}
	sums := make([]reg.VecVirtual, n)
	for j := range 4 {
		for i := range n {
			if j == 0 {
				sums[i] = e[i][0]
			} else {
				VADDPS(e[i][j], sums[i], sums[i])
			}
		}
	}
	return sums
}

// sums adds up w*x*q and w*q*q for all trials.
func (g *iq3) sums() {
	p, words, k := GP64(), GP64(), GP64()
	levels := g.wide.load(levelsIQ3())
	chunks := g.chunks()
	sumqx, sumq2 := make([]reg.VecVirtual, len(chunks)), make([]reg.VecVirtual, len(chunks))
	for i, c := range chunks {
		sumqx[i], sumq2[i] = c.zero(), c.zero()
	}
	MOVQ(g.frame, p)
	LEAQ(g.at(iq3Words), words)
	XORQ(k, k)
	item, bits := GP64(), GP32()
	if g.wide.wide() {
		XORQ(item, item)
	}
	Label("sums")
	for i, c := range chunks {
		w, table := c.vec(), levels
		if c.lanes == 8 {
			table = levels.AsY().(reg.VecVirtual)
		}
		VPMOVZXWD(at(words, c.at/2), w)
		if g.wide.wide() {
			items := K()
			MOVL(g.counted(iq3Masks, k), bits)
			SHRL(Imm(uint64(c.at/4)), bits)
			if c.lanes == 8 {
				ANDL(Imm(0xff), bits)
			} else {
				MOVWLZX(bits.As16(), bits)
			}
			KMOVW(bits, items)
			c.expand(g, item, items, w)
			VPMOVDW(w, at(words, c.at/2))
		}
		for n := range 4 {
			q, wq, wxq := c.vec(), c.vec(), c.vec()
			if n > 0 {
				VPSRLD(Imm(4), w, w)
			}
			VPERMPS(table, w, q)
			g.mulEach(at(p, iq3W+4*n), q, wq)
			g.mulEach(at(p, iq3WX+4*n), q, wxq)
			VMULPS(q, wq, wq)
			VADDPS(wxq, sumqx[i], sumqx[i])
			VADDPS(wq, sumq2[i], sumq2[i])
		}
	}
	ADDQ(Imm(64), words)
	ADDQ(Imm(16), p)
	INCQ(k)
	CMPQ(k, Imm(8))
	JLT(LabelRef("sums"))
	for i, c := range chunks {
		quotient := c.vec()
		VDIVPS(sumq2[i], sumqx[i], quotient)
		c.store(quotient, g.at(iq3Quotients+c.at))
		c.store(sumqx[i], g.at(iq3Sumqx+c.at))
		c.store(sumq2[i], g.at(iq3Sumq2+c.at))
	}
}

// mulEach multiplies by a float in memory.
func (g *iq3) mulEach(m Mem, a, product reg.VecVirtual) {
	if g.wide.wide() {
		VMULPS_BCST(m, a, product)
	} else {
		VMULPS(g.broadcast(m), a, product)
	}
}

// accept finds the trial that is left when each takes the place of the best one before it where it is better.
func (g *iq3) accept() {
	out := g.param("out", 5)
	scale, best, trial, pending := XMM(), XMM(), GP64(), GP64()
	VMOVSS(at(out, iq3OutTop), scale)
	VDIVSS(const32(math.Float32bits(15)), scale, scale)
	VXORPS(best, best, best)
	MOVQ(I32(-1), trial)
	collect := func(m func(c chunk) mask) reg.GPVirtual {
		all := GP64()
		for _, c := range g.chunks() {
			b := c.bits(m(c))
			if c.at == 0 {
				MOVL(b, all.As32())
				continue
			}
			SHLL(Imm(uint64(c.at/4)), b)
			ORL(b, all.As32())
		}
		return all
	}
	MOVQ(collect(func(c chunk) mask { return c.compare(cmpGT, c.load(g.at(iq3Sumq2+c.at)), c.zero()) }), pending)
	ANDL(U32(1<<g.count()-1), pending.As32())

	Label("better")
	least, first, behind := g.wide.vec(), GP64(), GP64()
	VBROADCASTSS(best, least)
	better := collect(func(c chunk) mask {
		square, bar, each := c.load(g.at(iq3Sumqx+c.at)), c.vec(), least
		if c.lanes == 8 {
			each = least.AsY().(reg.VecVirtual)
		}
		VMULPS(square, square, square)
		VMULPS(g.at(iq3Sumq2+c.at), each, bar)
		return c.compare(cmpGT, square, bar)
	})
	ANDQ(pending, better)
	JZ(LabelRef("accepted"))
	TZCNTQ(better, first)
	MOVQ(first, trial)
	VMOVSS(Mem{Base: g.frame, Disp: iq3Quotients, Index: first, Scale: 4}, scale)
	VMULSS(Mem{Base: g.frame, Disp: iq3Sumqx, Index: first, Scale: 4}, scale, best)
	MOVQ(I32(-2), behind)
	SHLXQ(first, behind, behind)
	ANDQ(behind, pending)
	JMP(LabelRef("better"))

	Label("accepted")
	VMOVSS(scale, at(out, iq3OutScale))
	none := uint64(0)
	if !g.even { // all points are chosen anew in the end, as if off the grid
		none = offGrid
	}
	word := GP64()
	TESTQ(trial, trial)
	JNS(LabelRef("chosen"))
	MOVQ(U64(none*0x0001000100010001), word)
	MOVQ(word, at(out, iq3OutWords))
	MOVQ(word, at(out, iq3OutWords+8))
	JMP(LabelRef("again"))
	Label("chosen")
	for k := range 8 {
		MOVW(g.word(trial).Offset(64*k), word.As16())
		MOVW(word.As16(), at(out, iq3OutWords+2*k))
	}
	Label("again")
}

// again chooses points for the scale that was found: all of them where one is off the grid, or those alone that are.
func (g *iq3) again() {
	out := g.param("out", 5)
	scale, inverse, off, mask := XMM(), XMM(), GP64(), GP64()
	MOVQ(at(out, iq3OutWords), off)
	ORQ(at(out, iq3OutWords+8), off)
	MOVQ(U64(offGrid*0x0001000100010001), mask)
	TESTQ(mask, off)
	JZ(LabelRef("done"))
	VMOVSS(at(out, iq3OutScale), scale)
	VXORPS(inverse, inverse, inverse)
	VUCOMISS(inverse, scale)
	JBE(LabelRef("done"))
	VMOVSS(const32(math.Float32bits(1)), inverse)
	VDIVSS(scale, inverse, inverse)
	VMULSS(const32(math.Float32bits(0.5)), inverse, inverse)
	for k := range 8 {
		VMOVSS(scale, g.at(iq3Scales+128*k))
	}
	far := XMM()
	VMOVSS(const32(math.Float32bits(1<<21)), far)
	limit := XMM()
	VMULSS(g.at(iq3Far), inverse, limit)
	VUCOMISS(limit, far)
	JBE(LabelRef("skip"))
	VMULSS(const32(math.Float32bits(16)), scale, limit)
	VADDSS(g.at(iq3Far), limit, limit)
	g.bound(limit)
	g.roundOnce(inverse)
	g.start()
	words := g.vec()
	if g.wide.wide() {
		all, items := g.listsOnce(out)
		g.workAll()
		out, first := g.param("out", 5), GP64()
		XORQ(first, first)
		chunk{g.isa, 0}.expand(g, first, items, all)
		VMOVDQA32(all, words)
		VPMOVDW(words, at(out, iq3OutWords))
	} else {
		g.listOnce(out)
		g.work()
		word := GP64()
		for k := range 8 {
			MOVW(g.at(iq3Words+64*k), word.As16())
			MOVW(word.As16(), at(out, iq3OutWords+2*k))
		}
		VPMOVZXWD(at(out, iq3OutWords), words)
	}
	g.sumOnce(g.param("out", 5), words)
}

// roundOnce finds the places in the table of all fours for one scale.
func (g *iq3) roundOnce(inverse reg.VecVirtual) {
	s := g.wide
	each, half := s.vec(), s.eachF32(0.5)
	VBROADCASTSS(inverse, each)
	shifts := make([]uint32, 16)
	for i := range shifts {
		shifts[i] = uint32(3 * (i % 4))
	}
	for j := 0; j < 32; j += s.lanes {
		level, doubt := s.nearestIQ3(g.at(iq3X+4*j), half, each)
		VPSLLVD(table("shiftsIQ3", shifts...), level, level)
		v := s.place(level, doubt)
		for _, order := range []uint64{0x4e, 0xb1} {
			other := s.vec()
			VPSHUFD(Imm(order), v, other)
			v = s.or(v, other)
		}
		s.store(v, g.at(iq3Index+4*j))
	}
}

// listOnce makes items of the fours that are to be chosen anew.
func (g *iq3) listOnce(out reg.GPVirtual) {
	index, words, place := GP64(), GP64(), GP64()
	LEAQ(g.at(iq3Index), index)
	MOVQ(out, words)
	XORQ(place, place)
	Label("once")
	if g.even {
		word := GP64()
		MOVW(at(words, 0), word.As16())
		MOVW(word.As16(), g.word(place))
		TESTW(U16(offGrid), word.As16())
		JZ(LabelRef("kept"))
	}
	g.item(Mem{Base: index}, place)
	Label("kept")
	ADDQ(Imm(16), index)
	ADDQ(Imm(2), words)
	ADDQ(Imm(32), place)
	CMPQ(place, U32(256))
	JLT(LabelRef("once"))
}

// sumOnce is the scale for the points that were chosen anew.
func (g *iq3) sumOnce(out reg.GPVirtual, words reg.VecVirtual) {
	levels := g.load(levelsIQ3())
	shifts := make([]uint32, 8)
	for i := range shifts {
		shifts[i] = uint32(4 * (i % 4))
	}
	for j := 0; j < 32; j += 8 {
		which := make([]uint32, 8)
		for i := range which {
			which[i] = uint32(j/4 + i/4)
		}
		q, wq := g.load(table(fmt.Sprint("foursIQ3_", j), which...)), g.vec()
		VPERMD(words, q, q)
		VPSRLVD(table("shiftsBackIQ3", shifts...), q, q)
		VPERMPS(levels, q, q)
		VMULPS(g.at(iq3W+4*j), q, wq)
		VMULPS(q, wq, wq)
		VMULPS(g.at(iq3WX+4*j), q, q)
		g.store(q, g.at(iq3Sumqx+4*j))
		g.store(wq, g.at(iq3Sumq2+4*j))
	}
	sumqx, sumq2, zero := XMM(), XMM(), XMM()
	VXORPS(sumqx, sumqx, sumqx)
	VXORPS(sumq2, sumq2, sumq2)
	VXORPS(zero, zero, zero)
	for j := range 32 {
		VADDSS(g.at(iq3Sumqx+4*j), sumqx, sumqx)
		VADDSS(g.at(iq3Sumq2+4*j), sumq2, sumq2)
	}
	VUCOMISS(zero, sumq2)
	JBE(LabelRef("done"))
	VDIVSS(sumq2, sumqx, sumqx)
	VMOVSS(sumqx, at(out, iq3OutScale))
}

// finish says that the block is done.
func (g *iq3) finish() {
	MOVL(U32(0), at(g.param("out", 5), iq3OutFlags))
	Label("skip")
}
