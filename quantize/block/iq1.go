package block

// What IQ1_S and IQ1_M share: groups of 8 weights take a point of a grid, whose digits 0, 1, 2 stand for -1, 0, 1 times a
// scale, all of them shifted up or down by an eighth.
const deltaIQ1 = 0.125

var (
	upIQ1   = [3]float32{-1 + deltaIQ1, deltaIQ1, 1 + deltaIQ1}
	downIQ1 = [3]float32{-1 - deltaIQ1, -deltaIQ1, 1 - deltaIQ1}
)

// splitIQ1 is the best division of a run of weights, in ascending order, into three parts of digits 0, 1, 2: the second
// starts at from, the third at to. shift says which values groups take; from < 0 if no division has any weight.
type splitIQ1 struct {
	from, to, shift int
	scale, best     float32
}

// offer keeps a division if it is better than what was found; its scale is qx/q2.
func (s *splitIQ1) offer(from, to, shift int, qx, q2 float32) {
	if q2 > 0 && float32(qx*qx) > float32(s.best*q2) {
		scale := qx / q2
		*s = splitIQ1{from, to, shift, scale, float32(scale * qx)}
	}
}

// sortIQ1 writes the positions of values in ascending order, of equal ones in order of position.
func sortIQ1(order []uint8, x []float32) {
	for i := range order {
		j := i
		for ; j > 0 && x[order[j-1]] > x[i]; j-- {
			order[j] = order[j-1]
		}
		order[j] = uint8(i)
	}
}

// digits writes the digits of a run of weights. A negative scale is turned round, and the digits with it; the caller turns
// the shift.
func (s *splitIQ1) digits(d []uint8, order []uint8) (turned bool) {
	digit := func(j int) uint8 {
		switch {
		case j < s.from:
			return 0
		case j < s.to:
			return 1
		}
		return 2
	}
	turned = s.scale < 0
	for j, i := range order {
		if d[i] = digit(j); turned {
			d[i] = 2 - d[i]
		}
	}
	if turned {
		s.scale = -s.scale
	}
	return turned
}

// fitIQ1 finds points for the groups of a run: those of its digits or, off the grid, the nearest neighbours under scale. If
// any is off the grid it returns the scale that fits the points. values are those of each group. The scale is NaN where
// errors overflow.
func fitIQ1(points []int, x, w []float32, digits []uint8, scale float32, values [4]*[3]float32) float32 {
	g, on := gridIQ1(), true
	for k := range points {
		o, n := 8*k, number8(digits[8*k:8*k+8])
		if points[k] = int(g.at[n]); points[k] < 0 {
			var t terms8
			t.set(x[o:o+8], w[o:o+8], scale, values[k])
			if points[k], on = g.nearest(n, &t), false; points[k] < 0 {
				return nan32
			}
		}
	}
	if on {
		return scale
	}
	var qx, q2 float32
	for k, p := range points {
		qx, q2 = sumsIQ1(qx, q2, x[8*k:], w[8*k:], &g.digits[p], values[k], 1)
	}
	if qx > 0 && q2 > 0 {
		scale = qx / q2
	}
	return scale
}

// sumsIQ1 adds to sum w*q*x and sum w*q*q over a group of 8 weights at a point, q being the digit's value times scale.
func sumsIQ1(qx, q2 float32, x, w []float32, digits *[8]uint8, values *[3]float32, scale float32) (sumqx, sumq2 float32) {
	x, w = x[:8], w[:8]
	for i, d := range digits {
		q := float32(values[d] * scale)
		wq := float32(w[i] * q)
		qx += float32(wq * x[i])
		q2 += float32(wq * q)
	}
	return qx, q2
}

// scalesIQ1 rounds the scales of the runs of a super-block to 0..7 under d, the largest over 15: 2l+1 stands for scale/d.
func scalesIQ1(l []uint8, scales []float32) (d float32) {
	d = greatest(scales) / 15
	id := 1 / d
	for i, s := range scales {
		l[i] = uint8(max(0, min(7, nearestInt(float32(0.5*(float32(id*s)-1))))))
	}
	return d
}

// decodeIQ1 writes the 8 weights of a group.
func decodeIQ1(y []float32, digits *[8]uint8, delta, scale float32) {
	y = y[:8]
	for i, d := range digits {
		y[i] = float32(scale * (float32(int(d)-1) + delta))
	}
}

// deltaOf is the shift that a bit stands for.
func deltaOf(down bool) float32 {
	if down {
		return -deltaIQ1
	}
	return deltaIQ1
}
