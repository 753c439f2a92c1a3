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
		for _, s := range isas[:1] {
			for _, weighted := range []bool{false, true} {
				(&iq3{isa: s, name: "IQ3_XXS", weighted: weighted, trials: 15, even: true, tiny: 1e-8}).fit()
				(&iq3{isa: s, name: "IQ3_S", weighted: weighted, trials: 9, tiny: 1e-30}).fit()
			}
		}
	}
}

// iq3 writes a kernel that fits groups of 32 values, one a lane, to a lattice, as the portable gridSearch does. The points
// that may take the place of one off the grid are in tables: see fitTable in package block.
type iq3 struct {
	isa
	name     string
	weighted bool
	trials   int     // on either side of the first one
	even     bool    // an even number of signs in each eight; only points off the grid are chosen anew in the end
	tiny     float32 // groups below are left to the portable form, or are zeros

	out, src, importance, sigma2, table reg.GPVirtual

	// frame is the state in memory: 32 vectors each of x, w, roots and w*x, then 8 of chosen points, then more.
	frame func(i int) Mem
	base  reg.GPVirtual

	levels, half, magic, least, most, indices reg.VecVirtual
	inverse, scale                            reg.VecVirtual // of the trial; inverse is half of it
	sumqx, sumq2                              reg.VecVirtual
	irregular                                 reg.GPVirtual // bits of lanes left to the portable form
}

// Places in the frame, in vectors.
const (
	iq3X      = 0
	iq3W      = 32
	iq3Roots  = 64
	iq3WX     = 96
	iq3Points = 128
	iq3Best   = 136
	iq3Top    = 137
	iq3Far    = 138 // the largest magnitude, also of values with the wrong sign
	iq3Frame  = 139
)

// Places in the result, fitsIQ3 in package block, in vectors.
const (
	iq3OutPoints = 0
	iq3OutScale  = 8
	iq3OutSigns  = 9
	iq3OutTop    = 10
	iq3OutFlags  = 11
)

func (g *iq3) fit() {
	name, args := "fit"+g.name, "out *uint32, src *float32, table *uint64"
	if g.weighted {
		name, args = name+"Weighted", "out *uint32, src, importance, sigma2 *float32, table *uint64"
	}
	TEXT(name+g.isa.name, 0, "func("+args+")")
	Pragma("noescape")
	Doc(fmt.Sprintf("%s%s fits %d groups of 32 values.", name, g.isa.name, g.lanes))
	load := func(name string) reg.GPVirtual {
		p := GP64()
		Load(Param(name), p)
		return p
	}
	g.out, g.src, g.table = load("out"), load("src"), load("table")
	if g.weighted {
		g.importance, g.sigma2 = load("importance"), load("sigma2")
	}
	g.base = GP64()
	LEAQ(AllocLocal(iq3Frame*g.bytes()+64), g.base)
	ADDQ(Imm(63), g.base)
	ANDQ(I8(-64), g.base)
	g.frame = func(i int) Mem { return at(g.base, i*g.bytes()) }
	g.irregular = GP64()

	g.prepare()
	g.search()
	g.again()
	MOVQ(g.irregular, at(g.out, iq3OutFlags*g.bytes()))
	VZEROUPPER()
	RET()
}

// result is a vector of the group's result.
func (g *iq3) result(i int) Mem { return at(g.out, i*g.bytes()) }

// prepare transposes the groups' values and finds their magnitudes, signs and weights.
func (g *iq3) prepare() {
	signs, top, far := g.zero(), g.vec(), g.zero()
	var sigma reg.VecVirtual
	if g.weighted {
		sigma = g.load(at(g.sigma2, 0))
	}
	for j := 0; j < 32; j += 8 {
		g.weigh(j, sigma)
		g.weigh(j+4, sigma)
		g.magnitudes(j, signs)
		for i := range 8 {
			x, wx := g.load(g.frame(iq3X+j+i)), g.vec()
			VMULPS(g.frame(iq3W+j+i), x, wx)
			g.store(wx, g.frame(iq3WX+j+i))
			if i+j == 0 {
				VMOVAPS(x, top)
			} else {
				VMAXPS(x, top, top)
			}
			VMOVAPS(g.maxAbs(x, far), far)
		}
	}
	g.store(signs, g.result(iq3OutSigns))
	g.store(top, g.result(iq3OutTop))
	g.store(top, g.frame(iq3Top))
	g.store(far, g.frame(iq3Far))
	// What is rounded must stay in the range of the trick with which it is.
	bad, beyond := g.compare(cmpLT, top, g.eachF32(g.tiny)), g.mul(top, g.eachF32(1<<17))
	KORW(bad, g.compare(cmpGT, far, beyond), bad)
	KMOVW(bad, g.irregular.As32())
}

// weigh transposes four columns from j on, and stores values, weights and their roots.
func (g *iq3) weigh(j int, sigma reg.VecVirtual) {
	of := func(p reg.GPVirtual) [4]reg.VecVirtual {
		return g.columns(func(r int) Mem { return at(p, r*blockBytes+4*j) })
	}
	var importance [4]reg.VecVirtual
	if g.weighted {
		importance = of(g.importance)
	}
	for i, x := range of(g.src) {
		g.store(x, g.frame(iq3X+j+i))
		VMULPS(x, x, x)
		if g.weighted {
			VADDPS(sigma, x, x)
			VSQRTPS(x, x)
			VMULPS(importance[i], x, x)
		}
		g.store(x, g.frame(iq3W+j+i))
		VSQRTPS(x, x)
		g.store(x, g.frame(iq3Roots+j+i))
	}
}

// magnitudes replaces eight values by their magnitudes and sets the bits of the negative ones in signs. For an even number
// of signs the value that matters least, the first of these, may get the wrong one.
func (g *iq3) magnitudes(j int, signs reg.VecVirtual) {
	magnitude, minus := g.each32(0x7fffffff), g.zero()
	var odd mask
	var least, which reg.VecVirtual
	for i := range 8 {
		x := g.load(g.frame(iq3X + j + i))
		negative := g.compare(cmpLT, x, minus)
		if bit := j + i; !g.even || i < 7 {
			if g.even {
				bit = 7*(j/8) + i
			}
			VPORD_BCST(const32(1<<bit), signs, negative, signs)
		}
		x = g.and(x, magnitude)
		g.store(x, g.frame(iq3X+j+i))
		if !g.even {
			continue
		}
		loss := g.mul(g.mul(x, g.frame(iq3W+j+i)), x)
		if i == 0 {
			odd = mask{K()}
			KMOVW(negative, odd)
			least, which = loss, g.zero()
			continue
		}
		KXORW(negative, odd, odd)
		smaller := g.compare(cmpLT, loss, least)
		g.set(smaller, loss, least)
		VPBROADCASTD(const32(uint32(i)), smaller, which)
	}
	for i := range 8 {
		if !g.even {
			break
		}
		flip := mask{K()}
		VPCMPD_BCST(Imm(0), const32(uint32(i)), which, odd, flip)
		x := g.load(g.frame(iq3X + j + i))
		VPXORD_BCST(const32(signBit), x, flip, x)
		g.store(x, g.frame(iq3X+j+i))
		if i < 7 {
			VPXORD_BCST(const32(1<<(7*(j/8)+i)), signs, flip, signs)
		}
	}
}

// constants loads what the trials need.
func (g *iq3) constants() {
	levels := make([]float32, g.lanes)
	var even []uint32
	for i := range levels {
		levels[i] = float32(2*(i&7) + 1)
		even = append(even, uint32(2*i))
	}
	g.levels = g.load(table("levels"+g.isa.name, floatBits(levels)...))
	g.indices = g.load(table("evenWords"+g.isa.name, even...))
	const magic = 3 << 22
	g.half, g.magic = g.eachF32(0.5), g.eachF32(magic)
	g.least, g.most = g.each32(math.Float32bits(magic)), g.each32(math.Float32bits(magic+7))
	g.inverse, g.scale, g.sumqx, g.sumq2 = g.vec(), g.vec(), g.vec(), g.vec()
}

// search tries scales and keeps the best one with its points.
func (g *iq3) search() {
	g.constants()
	top := g.load(g.frame(iq3Top))
	first := g.vec()
	VDIVPS(g.eachF32(15), top, first)
	g.store(first, g.result(iq3OutScale))
	g.store(g.zero(), g.frame(iq3Best))
	start := g.zero()
	if !g.even { // all points are chosen anew in the end, as if off the grid
		start = g.each32(8)
	}
	for k := range 8 {
		g.store(start, g.result(iq3OutPoints+k))
	}
	var steps []float32
	for k := -g.trials; k <= g.trials; k++ {
		steps = append(steps, 15+float32(float32(k)*0.2))
	}
	step, left := GP64(), GP64()
	LEAQ(table("steps"+g.name, floatBits(steps)...), step)
	MOVQ(U32(len(steps)), left)

	Label("trial")
	VDIVPS(g.frame(iq3Top), g.broadcast(at(step, 0)), g.inverse)
	VDIVPS(g.inverse, g.eachF32(1), g.scale)
	VMULPS(g.half, g.inverse, g.inverse)
	g.points(nil)
	quotient, square, bar := g.vec(), g.vec(), g.vec()
	VDIVPS(g.sumq2, g.sumqx, quotient)
	VMULPS(g.sumqx, g.sumqx, square)
	VMULPS(g.frame(iq3Best), g.sumq2, bar)
	better := g.both(g.compare(cmpGT, g.sumq2, g.zero()), g.compare(cmpGT, square, bar))
	KORTESTW(better, better)
	JZ(LabelRef("next"))
	VMOVUPS(quotient, better, g.result(iq3OutScale))
	VMULPS(g.sumqx, quotient, quotient)
	VMOVUPS(quotient, better, g.frame(iq3Best))
	for k := range 8 {
		VMOVUPS(g.load(g.frame(iq3Points+k)), better, g.result(iq3OutPoints+k))
	}
	Label("next")
	ADDQ(Imm(4), step)
	DECQ(left)
	JNZ(LabelRef("trial"))
}

// points chooses points for all fours and adds up the sums of w*x*q and w*q*q. instead may replace those of a four.
func (g *iq3) points(instead func(p reg.GPVirtual, point reg.VecVirtual)) {
	VXORPS(g.sumqx, g.sumqx, g.sumqx)
	VXORPS(g.sumq2, g.sumq2, g.sumq2)
	p, points, out, left := GP64(), GP64(), GP64(), GP64()
	MOVQ(g.base, p)
	LEAQ(g.frame(iq3Points), points)
	MOVQ(g.out, out)
	MOVQ(U32(8), left)
	four := label("four")
	Label(four)
	point := g.choose(p)
	if instead != nil {
		instead(out, point)
	}
	g.store(point, at(points, 0))
	for i := range 4 {
		q, wq, wxq := g.level(point, 4*i), g.vec(), g.vec()
		VMULPS(at(p, (iq3W+i)*g.bytes()), q, wq)
		VMULPS(at(p, (iq3WX+i)*g.bytes()), q, wxq)
		VMULPS(q, wq, wq)
		VADDPS(wxq, g.sumqx, g.sumqx)
		VADDPS(wq, g.sumq2, g.sumq2)
	}
	ADDQ(U32(4*g.bytes()), p)
	ADDQ(U32(g.bytes()), points)
	ADDQ(U32(g.bytes()), out)
	DECQ(left)
	JNZ(LabelRef(four))
}

// level is the value of the level at a bit of the points.
func (g *iq3) level(points reg.VecVirtual, bit int) reg.VecVirtual {
	q := g.vec()
	if bit == 0 {
		VPERMPS(g.levels, points, q)
		return q
	}
	VPSRLD(Imm(uint64(bit)), points, q)
	VPERMPS(g.levels, q, q)
	return q
}

// roundingSlack is how near to the middle of two levels a value may be without a doubt which of these is nearer, in any
// of the ways to compute it.
const roundingSlack = 1. / 16384

// choose is the point for the four values at p, a word with four bits a level; those that stand for one off the grid
// have bit 3 set.
func (g *iq3) choose(p reg.GPVirtual) reg.VecVirtual {
	var r [4]reg.VecVirtual
	var doubt reg.VecVirtual
	for i := range r {
		y := g.sub(g.mul(g.inverse, at(p, (iq3X+i)*g.bytes())), g.half)
		r[i] = g.add(y, g.magic)
		VREDUCEPS(Imm(0), y, y)
		if i == 0 {
			doubt = y
		} else {
			doubt = g.maxAbs(doubt, y)
		}
		VPMAXSD(g.least, r[i], r[i])
		VPMINSD(g.most, r[i], r[i])
		if i > 0 {
			VPSLLD(Imm(uint64(3*i)), r[i], r[i])
		}
	}
	index := r[0]
	VPTERNLOGD(Imm(0xfe), r[1], r[2], index)
	VPORD(r[3], index, index)
	VPANDD_BCST(const32(0xfff), index, index)
	unsure := g.compare(cmpGE, doubt, g.eachF32(0.5-roundingSlack))
	VPORD_BCST(const32(0x1000), index, unsure, index)
	return g.nearest(p, index)
}

// nearest is the first point of a list with the least error.
func (g *iq3) nearest(p reg.GPVirtual, index reg.VecVirtual) reg.VecVirtual {
	high, gathered, rows := YMM(), [2]reg.VecVirtual{g.zero(), g.zero()}, GP64()
	VEXTRACTI64X4(Imm(1), index, high)
	MOVQ(g.table, rows)
	least, point := g.eachF32(math.MaxFloat32), g.zero()
	more := K()
	KXNORW(more, more, more)
	l := label("more")
	Label(l)
	for i, half := range []reg.Register{index.AsY(), high} {
		k := K()
		if i == 0 {
			KMOVW(more, k)
		} else {
			KSHIFTRW(Imm(8), more, k)
		}
		VPGATHERDQ(Mem{Base: rows, Index: half, Scale: 8}, k, gathered[i])
	}
	ADDQ(U32(8*8192), rows)
	pairs := [2]reg.VecVirtual{g.vec(), g.vec()}
	VMOVAPS(g.indices, pairs[0])
	VPERMI2D(gathered[1], gathered[0], pairs[0])
	VPORD_BCST(const32(1), g.indices, pairs[1])
	VPERMI2D(gathered[1], gathered[0], pairs[1])
	for _, pair := range pairs {
		var errors [2]reg.VecVirtual
		var q [8]reg.VecVirtual
		for i := range q {
			q[i] = g.level(pair, 4*i)
		}
		for i := range q {
			VMULPS(g.scale, q[i], q[i])
		}
		for i := range q {
			VSUBPS(at(p, (iq3X+i%4)*g.bytes()), q[i], q[i])
		}
		for i := range q {
			e := g.mul(q[i], at(p, (iq3Roots+i%4)*g.bytes()))
			VMULPS(q[i], e, e)
			if i%4 == 0 {
				errors[i/4] = e
			} else {
				VADDPS(e, errors[i/4], errors[i/4])
			}
		}
		for i, e := range errors {
			word := pair
			if i > 0 {
				word = g.vec()
				VPSRLD(Imm(16), pair, word)
			}
			smaller := g.compare(cmpLT, e, least)
			g.set(smaller, e, least)
			g.set(smaller, word, point)
		}
	}
	VPMOVD2M(pairs[1], more)
	KORTESTW(more, more)
	JNZ(LabelRef(l))
	none, bits := g.compare(cmpNLT, least, g.eachF32(math.MaxFloat32)), GP32()
	KMOVW(none, bits)
	ORL(bits, g.irregular.As32())
	return point
}

// cmpNLT holds for NaN.
const cmpNLT = 0x15

// again chooses points for the scale that was found: all of them where one is off the grid, or those alone that are.
func (g *iq3) again() {
	scale := g.load(g.result(iq3OutScale))
	any := g.load(g.result(iq3OutPoints))
	for k := 1; k < 8; k++ {
		VPORD(g.result(iq3OutPoints+k), any, any)
	}
	off := mask{K()}
	VPTESTMD_BCST(const32(8), any, off)
	fit := g.both(off, g.compare(cmpGT, scale, g.zero()))
	KORTESTW(fit, fit)
	JZ(LabelRef("done"))
	VMOVAPS(scale, g.scale)
	VDIVPS(scale, g.eachF32(1), g.inverse)
	VMULPS(g.half, g.inverse, g.inverse)
	far := g.compare(cmpNLT, g.mul(g.inverse, g.frame(iq3Far)), g.eachF32(1<<21))
	before, bits := GP32(), GP32()
	MOVL(g.irregular.As32(), before)
	KMOVW(far, g.irregular.As32())
	g.points(func(out reg.GPVirtual, point reg.VecVirtual) {
		keep, old := K(), g.load(at(out, 0))
		if g.even {
			VPTESTNMD_BCST(const32(8), old, keep)
			VMOVAPS(old, keep, point)
		}
		VMOVUPS(point, fit, at(out, 0))
	})
	KMOVW(fit, bits)
	ANDL(bits, g.irregular.As32())
	ORL(before, g.irregular.As32())
	positive := g.both(fit, g.compare(cmpGT, g.sumq2, g.zero()))
	VDIVPS(g.sumq2, g.sumqx, g.sumqx)
	VMOVUPS(g.sumqx, positive, g.result(iq3OutScale))
	Label("done")
}
