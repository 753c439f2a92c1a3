package block

import (
	"math"
	"math/bits"
)

// What IQ2_XXS, IQ2_XS and IQ2_S share: groups of 8 weights take signs and a point of a grid, whose digits 0, 1, 2 stand
// for magnitudes of about 1, 3, 5 times the scale of a run of groups; decoded, for 8, 25, 43 eighths.
var (
	valuesIQ2  = [3]float32{1, 3, 5}
	decodedIQ2 = [3]float32{8, 25, 43}
)

// magnitudes writes the magnitudes of 8 weights and returns their signs, a set bit for a negative one.
func magnitudes(v, x []float32) (signs uint8) {
	for i, f := range x[:8] {
		if v[i] = f; !(f >= 0) {
			v[i] = -f
			signs |= 1 << i
		}
	}
	return signs
}

// evenMagnitudes is magnitudes for types that store seven signs and take the eighth for what makes the number of set bits
// even: of an odd number the least important weight is flipped.
func evenMagnitudes(v, x, w []float32) (signs uint8) {
	signs = magnitudes(v, x)
	if bits.OnesCount8(signs)%2 == 0 {
		return signs & 127
	}
	at, least := 0, float32(float32(w[0]*x[0])*x[0])
	for i := 1; i < 8; i++ {
		if e := float32(float32(w[i]*x[i]) * x[i]); e < least {
			at, least = i, e
		}
	}
	v[at] = -v[at]
	return (signs ^ 1<<at) & 127
}

// roundIQ2 finds the point of the nearest digits of 8 magnitudes at the inverse scale id; off the grid, of its neighbours the
// one with least error under scale and the roots of the weights. position is -1 where errors overflow.
func (g *grid8) roundIQ2(v, root []float32, id, scale float32) (position int, on bool) {
	n := 0
	for i := 7; i >= 0; i-- {
		n = 3*n + max(0, min(2, nearestInt(float32(0.5*(float32(id*v[i])-1)))))
	}
	if p := g.at[n]; p >= 0 {
		return int(p), true
	}
	var t terms8
	t.set(v, root, scale, &valuesIQ2)
	return g.nearest(n, &t), false
}

// sumsIQ2 adds to sum w*v*q and sum w*q*q over the 8 magnitudes of a group at a point.
func sumsIQ2(qx, q2 float32, v, w []float32, digits *[8]uint8) (sumqx, sumq2 float32) {
	v, w = v[:8], w[:8]
	for i, d := range digits {
		q := valuesIQ2[d]
		qx += float32(float32(w[i]*v[i]) * q)
		q2 += float32(float32(w[i]*q) * q)
	}
	return qx, q2
}

// runIQ2 is how a run of groups of 8 weights is encoded.
type runIQ2 struct {
	scale  float32
	points [4]int // positions in the grid
	on     [4]bool
	best   float32
}

// try rounds a run at the inverse scale id and keeps that if it is better. It reports whether errors are finite.
func (r *runIQ2) try(g *grid8, v, w, root []float32, id float32) (ok bool) {
	next := runIQ2{}
	scale := 1 / id
	var qx, q2 float32
	for k := range len(v) / 8 {
		o := 8 * k
		next.points[k], next.on[k] = g.roundIQ2(v[o:o+8], root[o:o+8], id, scale)
		if next.points[k] < 0 {
			return false
		}
		qx, q2 = sumsIQ2(qx, q2, v[o:], w[o:], &g.digits[next.points[k]])
	}
	if q2 > 0 && float32(qx*qx) > float32(r.best*q2) {
		next.scale = qx / q2
		next.best = float32(next.scale * qx)
		*r = next
	}
	return true
}

// refine rounds the groups that are off the grid once more, at the run's own scale, and fits the scale to all.
func (r *runIQ2) refine(g *grid8, v, w, root []float32) (ok bool) {
	var qx, q2 float32
	id := 1 / r.scale
	for k := range len(v) / 8 {
		o := 8 * k
		if !r.on[k] {
			if r.points[k], _ = g.roundIQ2(v[o:o+8], root[o:o+8], id, r.scale); r.points[k] < 0 {
				return false
			}
		}
		qx, q2 = sumsIQ2(qx, q2, v[o:], w[o:], &g.digits[r.points[k]])
	}
	if q2 > 0 {
		r.scale = qx / q2
	}
	return true
}

// fitIQ2 fits a run of 16 magnitudes of which top is the largest: 19 scales around the one that maps it to 5. The scale is
// NaN where errors overflow.
func fitIQ2(g *grid8, v, w *[16]float32, top float32) runIQ2 {
	var root [16]float32
	sqrts(root[:], w[:])
	r := runIQ2{scale: top / 5, on: [4]bool{true, true}}
	ok := true
	for is := float32(-9); is <= 9 && ok; is++ {
		ok = r.try(g, v[:], w[:], root[:], (5+float32(0.1*is))/top)
	}
	if ok && r.scale > 0 && !(r.on[0] && r.on[1]) {
		ok = r.refine(g, v[:], w[:], root[:])
	}
	if !ok {
		r.scale = nan32
	}
	return r
}

var nan32 = float32(math.NaN())

func sqrts(out, x []float32) {
	for i, v := range x[:len(out)] {
		out[i] = sqrt32(v)
	}
}

// greatest is the largest of some values, which are not NaN.
func greatest(x []float32) float32 {
	top := x[0]
	for _, v := range x[1:] {
		top = max(top, v)
	}
	return top
}

// scalesIQ2 rounds the scales of the runs of a super-block to 0..15 under d, the largest over 31: 2l+1 stands for scale/d.
func scalesIQ2(l []uint8, scales []float32) (d float32) {
	d = greatest(scales) / 31
	id := 1 / d
	for i, s := range scales {
		l[i] = uint8(max(0, min(15, nearestInt(float32(0.5*(float32(id*s)-1))))))
	}
	return d
}

// decodeIQ2 writes the 8 weights of a group.
func decodeIQ2(y []float32, digits *[8]uint8, signs uint8, scale float32) {
	y = y[:8]
	for i, d := range digits {
		y[i] = flip(float32(scale*decodedIQ2[d]), uint32(signs>>i))
	}
}

// scaleIQ2 is what a rounded scale decodes to.
func scaleIQ2(d float32, l uint8) float32 { return float32(float32(d*(0.5+float32(l))) * 0.25) }
