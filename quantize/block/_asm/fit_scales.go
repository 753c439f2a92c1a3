package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

func init() {
	generators["fit_scales"] = func() {
		for _, s := range isas {
			(&scalesFit{isa: s}).generate()
			s.spreadScales(8)
			s.spreadScales(16)
		}
	}
}

// Layout of searchBuffer, continued.
const (
	offCommon = 74 * row
	offHalves = 75 * row
	offBits   = 76 * row
)

// Layout of scaleTrials.
const (
	scalesTop    = 0 // the largest scale
	scalesTrials = 4 // inverse scales times the largest value
)

// scalesFit generates fitScales for the scales and the mins of up to 16 super-blocks, a lane each: scales in the buffer's first 16
// lanes, mins in the next. Those of a vector of super-blocks run side by side, since they are chains of dependent operations.
type scalesFit struct {
	isa
	p, n, trials reg.GPVirtual
	top          reg.VecVirtual
	v            [2]scalesLanes
}

// scalesLanes are the fits of one vector.
type scalesLanes struct {
	inverse, best, sumlx, suml2 reg.VecVirtual
	bad                         reg.GPVirtual
}

func (f *scalesFit) generate() {
	name := "fitScales" + f.name
	TEXT(name, NOSPLIT, "func(b *float32, blocks, n int, t *float32)")
	Pragma("noescape")
	Doc(name + " rounds n values a lane, under their weights, and leaves quants, common scales, these as halves, and bits of lanes that the portable form must do.")
	f.p = Load(Param("b"), GP64()).(reg.GPVirtual)
	blocks := Load(Param("blocks"), GP64()).(reg.GPVirtual)
	f.n = Load(Param("n"), GP64()).(reg.GPVirtual)
	f.trials = Load(Param("t"), GP64()).(reg.GPVirtual)
	halves, flags := GP64(), GP64()
	LEAQ(at(f.p, offHalves), halves)
	LEAQ(at(f.p, offBits), flags)
	f.top = f.broadcast(at(f.trials, scalesTop))
	Label("blocks")
	for v := range f.v {
		f.v[v] = scalesLanes{f.vec(), f.vec(), f.vec(), f.vec(), GP32()}
	}
	f.extremes()
	f.tries()
	f.sums()
	f.improve()
	f.results(halves, flags)
	ADDQ(U8(f.bytes()), f.p)
	ADDQ(U8(f.bytes()/2), halves)
	ADDQ(U8(f.lanes/8), flags)
	SUBQ(U8(f.lanes), blocks)
	JG(LabelRef("blocks"))
	VZEROUPPER()
	RET()
}

// rows runs body for each of the n rows, with operands that address it in both vectors.
func (f *scalesFit) rows(body func(v int, x, w, q Mem)) {
	r, left := GP64(), GP64()
	MOVQ(f.p, r)
	MOVQ(f.n, left)
	l := label("row")
	Label(l)
	for v := range f.v {
		m := at(r, 64*v)
		body(v, m.Offset(offX), m.Offset(offW), m.Offset(offQ))
	}
	ADDQ(U32(row), r)
	DECQ(left)
	JNZ(LabelRef(l))
}

// extremes finds the largest values, and marks lanes with negative ones, which wrap in the reference's bytes.
func (f *scalesFit) extremes() {
	least, largest := [2]reg.VecVirtual{f.zero(), f.zero()}, [2]reg.VecVirtual{f.zero(), f.zero()}
	f.rows(func(v int, x, _, _ Mem) {
		value := f.load(x)
		VMAXPS(largest[v], value, largest[v]) // value > largest ? value : largest
		VMINPS(value, least[v], least[v])
	})
	for v, s := range f.v {
		MOVL(f.bits(f.compare(cmpLT, least[v], f.zero())), s.bad)
		f.store(largest[v], f.largest(v))
		VDIVPS(largest[v], f.top, s.inverse)
	}
}

// largest is where the largest values are until the common scales take their place.
func (f *scalesFit) largest(v int) Mem { return at(f.p, offCommon+64*v) }

// tries keeps the trial with the least loss.
func (f *scalesFit) tries() {
	var scale [2]reg.VecVirtual
	for v, s := range f.v {
		scale[v] = f.div(f.eachF32(1), s.inverse)
		VXORPS(s.best, s.best, s.best)
	}
	f.rows(func(v int, x, w, _ Mem) { f.addLoss(f.v[v].best, x, w, f.v[v].inverse, scale[v]) })
	k := GP64()
	XORQ(k, k)
	l := label("try")
	Label(l)
	var inverse, loss [2]reg.VecVirtual
	for v := range f.v {
		inverse[v] = f.div(f.broadcast(Mem{Base: f.trials, Index: k, Scale: 4, Disp: scalesTrials}), f.largest(v))
		scale[v], loss[v] = f.div(f.eachF32(1), inverse[v]), f.zero()
	}
	f.rows(func(v int, x, w, _ Mem) { f.addLoss(loss[v], x, w, inverse[v], scale[v]) })
	for v, s := range f.v {
		better := f.compare(cmpLT, loss[v], s.best)
		f.put(better, loss[v], s.best)
		f.put(better, inverse[v], s.inverse)
	}
	INCQ(k)
	CMPQ(k, U8(8))
	JL(LabelRef(l))
}

// put puts the lanes of a in the mask into v.
func (s isa) put(m mask, a, v reg.VecVirtual) {
	if s.wide() {
		VMOVAPS(a, m, v)
	} else {
		VBLENDVPS(m, a, v, v)
	}
}

// quants are those of x, at most the largest.
func (f *scalesFit) quants(x, inverse reg.VecVirtual) reg.VecVirtual {
	l := f.mul(x, inverse)
	f.round(l)
	VMINPS(f.top, l, l)
	return l
}

// addLoss adds the weighted squared error of x.
func (f *scalesFit) addLoss(loss reg.VecVirtual, x, w Mem, inverse, scale reg.VecVirtual) {
	value := f.load(x)
	l := f.quants(value, inverse)
	diff := f.sub(value, f.mul(l, scale))
	VADDPS(f.mul(f.mul(diff, w), diff), loss, loss)
}

// sums rounds with the best inverse scale.
func (f *scalesFit) sums() {
	for _, s := range f.v {
		VXORPS(s.sumlx, s.sumlx, s.sumlx)
		VXORPS(s.suml2, s.suml2, s.suml2)
	}
	f.rows(func(v int, x, w, q Mem) {
		value, s := f.load(x), f.v[v]
		l := f.quants(value, s.inverse)
		f.store(l, q)
		VADDPS(f.mul(f.mul(value, w), l), s.sumlx, s.sumlx)
		VADDPS(f.mul(f.mul(l, w), l), s.suml2, s.suml2)
	})
}

// improve changes single quants, in up to five rounds, while that makes the fit better.
func (f *scalesFit) improve() {
	rounds, changed := GP64(), GP32()
	MOVQ(U32(5), rounds)
	l, done := label("round"), label("improved")
	Label(l)
	XORL(changed, changed)
	f.rows(func(v int, x, w, q Mem) {
		s := f.v[v]
		value, weight, old, zero := f.load(x), f.load(w), f.load(q), f.zero()
		wx := f.mul(weight, value)
		slx := f.sub(s.sumlx, f.mul(wx, old))
		sl2 := f.sub(s.suml2, f.mul(f.mul(weight, old), old))
		may := f.both(f.compare(cmpGT, slx, zero), f.compare(cmpGT, sl2, zero))
		next := f.div(f.mul(value, sl2), slx)
		ORL(f.bits(f.both(may, f.compare(cmpNLE, next, f.eachF32(4194303)))), s.bad)
		f.round(next)
		VMINPS(f.top, next, next)
		may = f.both(may, f.compare(cmpUnequal, next, old))
		VMULPS(next, wx, wx)
		VADDPS(wx, slx, slx)
		VMULPS(next, weight, weight)
		VMULPS(next, weight, weight)
		VADDPS(weight, sl2, sl2)
		better := f.compare(cmpGT, f.mul(f.mul(slx, slx), s.suml2), f.mul(f.mul(s.sumlx, s.sumlx), sl2))
		may = f.both(may, better)
		f.storeWhere(may, next, q)
		f.put(may, slx, s.sumlx)
		f.put(may, sl2, s.suml2)
		ORL(f.bits(may), changed)
	})
	TESTL(changed, changed)
	JZ(LabelRef(done))
	DECQ(rounds)
	JNZ(LabelRef(l))
	Label(done)
}

// results stores the common scales, and zeros for lanes without a value to speak of.
func (f *scalesFit) results(halves, flags reg.GPVirtual) {
	var tiny [2]mask
	for v, s := range f.v {
		zero := f.zero()
		common := f.choose(f.compare(cmpGT, s.suml2, zero), f.div(s.sumlx, s.suml2), zero)
		tiny[v] = f.compare(cmpLT, f.load(f.largest(v)), f.eachF32(tinyGroup))
		f.put(tiny[v], zero, common)
		f.toHalves(common, at(halves, 64*v))
		f.store(common, f.largest(v))
		keep := f.bits(tiny[v])
		NOTL(keep)
		ANDL(keep, s.bad)
		ORL(f.bits(f.notFinite(common)), s.bad)
		if f.wide() {
			MOVW(s.bad.As16(), at(flags, 64*v))
		} else {
			MOVB(s.bad.As8(), at(flags, 64*v))
		}
	}
	f.rows(func(v int, _, _, q Mem) { f.storeWhere(tiny[v], f.zero(), q) })
}

// toHalves rounds floats to halves, in place and in memory.
func (s isa) toHalves(v reg.VecVirtual, m Mem) {
	half := reg.VecVirtual(XMM())
	if s.wide() {
		half = YMM()
	}
	VCVTPS2PH(U8(0), v, half)
	VCVTPH2PS(half, v)
	VMOVUPS(half, m)
}
