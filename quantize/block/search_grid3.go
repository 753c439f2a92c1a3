package block

import "math"

// gridSearch finds the scale of a group of 32 weights and the points on a lattice that stand for its eight fours. The
// values of a point's levels are 1, 3, .. 15.
type gridSearch struct {
	lattice func() *lattice3
	trials  int  // inverse scales tried on either side of the one that maps the largest magnitude to 15
	redo    bool // choose all points anew for the final scale; otherwise only those that were off the grid
}

// gridGroup is what a group of 32 weights is encoded as.
type gridGroup struct {
	scale  float32
	signs  uint32
	points [8]uint16
	zero   bool // the group is taken for zeros
}

// gridFit is the state of a group's search. Weights are not negative.
type gridFit struct {
	gridGroup
	lattice  *lattice3
	x        [32]float32 // magnitudes
	w        [32]float32 // weights of the squared errors
	roots    [32]float32 // of the weights: neighbours are compared by them
	offGrid  uint8       // bits of the points that stand for one off the grid
	noChoice bool        // no neighbour has an error that is a number: the reference aborts
}

// fit finds the group's scale and points. top, the largest of f.x, is above 0.
func (s *gridSearch) fit(f *gridFit, top float32) {
	f.lattice = s.lattice()
	for i, w := range f.w {
		f.roots[i] = sqrt32(w)
	}
	f.points, f.offGrid = [8]uint16{}, 0
	if s.redo {
		f.offGrid = 0xff
	}
	var best float32
	f.scale = top / 15
	for k := -s.trials; k <= s.trials; k++ {
		inverse := (15 + float32(float32(k)*0.2)) / top
		points, off := f.choose(inverse, 1/inverse, 0xff, [8]uint16{})
		sumqx, sumq2 := f.sums(&points)
		if sumq2 > 0 && float32(sumqx*sumqx) > float32(best*sumq2) {
			f.scale = sumqx / sumq2
			best = float32(f.scale * sumqx)
			f.points, f.offGrid = points, off
		}
	}
	if f.offGrid == 0 || !(f.scale > 0) {
		return
	}
	which := f.offGrid
	if s.redo {
		which = 0xff
	}
	f.points, _ = f.choose(1/f.scale, f.scale, which, f.points)
	if sumqx, sumq2 := f.sums(&f.points); sumq2 > 0 {
		f.scale = sumqx / sumq2
	}
}

// choose rounds the fours whose bits are set in which to points on the grid; off has the bits of those for which a
// neighbour had to be taken.
func (f *gridFit) choose(inverse, scale float32, which uint8, points [8]uint16) (_ [8]uint16, off uint8) {
	for k := range points {
		if which>>k&1 == 0 {
			continue
		}
		x := (*[4]float32)(f.x[4*k:])
		var p uint16
		for i, v := range x {
			p |= uint16(max(0, min(7, nearestInt(float32(0.5*(float32(inverse*v)-1)))))) << (3 * i)
		}
		if index := f.lattice.index[p]; index < 0 {
			off |= 1 << k
			p = f.nearest(f.lattice.near(index), x, (*[4]float32)(f.roots[4*k:]), scale)
		}
		points[k] = p
	}
	return points, off
}

// nearest is the first of the points with the least error.
func (f *gridFit) nearest(points []uint16, x, w *[4]float32, scale float32) uint16 {
	var errors [4][8]float32 // by position and level
	for i := range errors {
		for level := range errors[i] {
			d := float32(scale*float32(2*level+1)) - x[i]
			errors[i][level] = float32(float32(w[i]*d) * d)
		}
	}
	best, found := float32(math.MaxFloat32), -1
	for j, p := range points {
		d2 := errors[0][p&7] + errors[1][p>>3&7] + errors[2][p>>6&7] + errors[3][p>>9&7]
		if d2 < best {
			best, found = d2, j
		}
	}
	if found < 0 {
		f.noChoice = true
		return 0
	}
	return points[found]
}

// sums are those of w*x*q and w*q*q.
func (f *gridFit) sums(points *[8]uint16) (sumqx, sumq2 float32) {
	for k, p := range points {
		x, w := (*[4]float32)(f.x[4*k:]), (*[4]float32)(f.w[4*k:])
		for i, v := range x {
			q := float32(2*(p>>(3*i)&7) + 1)
			sumqx += float32(float32(w[i]*v) * q)
			sumq2 += float32(float32(w[i]*q) * q)
		}
	}
	return sumqx, sumq2
}

// weigh sets the weights of 32 errors: the squares of x, or under importance w*sqrt(sigma2 + x^2).
func (f *gridFit) weigh(x, importance []float32, sigma2 float32) {
	if importance != nil {
		weigh(f.w[:], x, importance, sigma2)
		return
	}
	for i, v := range x[:32] {
		f.w[i] = float32(v * v)
	}
}

// super fits the groups of a super-block. magnitudes sets those of 32 weights, and returns their signs and the largest
// magnitude; groups where that is below tiny are zeros. bad is a scale that is not finite.
func (s *gridSearch) super(x, importance *[len256]float32, magnitudes func(f *gridFit, x []float32) (uint32, float32), tiny float32) (groups [8]gridGroup, bad float32) {
	var (
		f      gridFit
		sigma2 float32
		w      []float32
	)
	if importance != nil {
		if sigma2 = meanSquareTwice(x); sigma2-sigma2 != 0 {
			return groups, sigma2
		}
	}
	for g := range groups {
		xs := x[32*g : 32*g+32]
		if importance != nil {
			w = importance[32*g : 32*g+32]
		}
		f.weigh(xs, w, sigma2)
		signs, top := magnitudes(&f, xs)
		if top < tiny {
			groups[g] = gridGroup{zero: true}
			continue
		}
		s.fit(&f, top)
		switch {
		case f.scale-f.scale != 0:
			return groups, f.scale
		case f.noChoice:
			return groups, float32(math.NaN())
		}
		f.signs = signs
		groups[g] = f.gridGroup
	}
	return groups, 0
}

// roundGrid makes scales positive, for which it turns signs, and rounds them to 4 bits under a common scale, which
// it returns: the groups' scales are d*(2*l+1). ok is false if there is none above 0.
func roundGrid(groups *[8]gridGroup, allSigns uint32) (d float32, l [8]uint8, ok bool) {
	var top float32
	for i := range groups {
		g := &groups[i]
		if g.scale < 0 {
			g.scale, g.signs = -g.scale, g.signs^allSigns
		}
		top = max(top, g.scale)
	}
	if top == 0 {
		return 0, l, false
	}
	d = top / 31
	inverse := 1 / d
	for i, g := range groups {
		l[i] = uint8(max(0, min(15, nearestInt(float32(0.5*(float32(inverse*g.scale)-1))))))
	}
	return d, l, true
}

// flip changes the sign of v where the lowest bit of s is set.
func flip(v float32, s uint32) float32 {
	return math.Float32frombits(math.Float32bits(v) ^ s<<31)
}
