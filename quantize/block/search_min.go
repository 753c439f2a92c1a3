package block

// minSearch is the search of one type for a group's scale and min: quants are 0..n, the steps+1
// trial inverse scales are (n+from+delta*i)/(max-min). abs weighs magnitudes of errors, not squares.
type minSearch struct {
	n, from, delta float32
	steps          int
	abs            bool
}

// minFit is how a group of weights is best rounded: values are scale*q - min with
// q = nearest((x-at)*inverse). A constant group has inverse 0.
type minFit struct{ scale, min, inverse, at float32 }

// fit is ggml's make_qkx2_quants and make_qkx3_quants, which differ in nothing but their arguments.
// w are the weights of the errors. Groups have at most 32 elements.
func (s *minSearch) fit(x, w []float32) minFit {
	var qs [32]float32
	q := qs[:len(x)]
	w = w[:len(x)]
	lo, hi := x[0], x[0]
	sumW := w[0]
	sumX := float32(sumW * x[0])
	for i := 1; i < len(x); i++ {
		v := x[i]
		if v < lo {
			lo = v
		}
		if v > hi {
			hi = v
		}
		sumW += w[i]
		sumX += float32(w[i] * v)
	}
	least := lo // of the weights; the min of the fit moves
	if lo > 0 {
		lo = 0
	}
	if hi == lo {
		return minFit{min: -lo}
	}
	f := minFit{inverse: s.n / (hi - lo), at: lo}
	f.scale = 1 / f.inverse
	s.quants(q, x, f.inverse, lo, least, hi)
	best := s.loss(q, x, w, f.scale, lo)
	for is := range s.steps + 1 {
		inverse := (s.from + float32(s.delta*float32(is)) + s.n) / (hi - lo)
		sumL, sumL2, sumXL := s.sums(q, x, w, inverse, lo, least, hi)
		d := float32(sumW*sumL2) - float32(sumL*sumL)
		if !(d > 0) {
			continue
		}
		scale := (float32(sumW*sumXL) - float32(sumX*sumL)) / d
		low := (float32(sumL2*sumX) - float32(sumL*sumXL)) / d
		if low > 0 {
			low = 0
			scale = sumXL / sumL2
		}
		if e := s.loss(q, x, w, scale, low); e < best {
			best = e
			f.scale, f.inverse, f.at = scale, inverse, lo
			lo = low
		}
	}
	f.min = -lo
	return f
}

// inRange reports whether the float form of nearestInt is exact for all (x-at)*inverse, x from least to hi.
func inRange(inverse, at, least, hi float32) bool {
	return inMagic(float32(inverse*(least-at))) && inMagic(float32(inverse*(hi-at)))
}

// quants writes q = nearest((x-at)*inverse) in 0..n, as floats.
func (s *minSearch) quants(q, x []float32, inverse, at, least, hi float32) {
	q = q[:len(x)]
	if !inRange(inverse, at, least, hi) {
		for i, v := range x {
			q[i] = float32(max(0, min(int(s.n), nearestInt(float32(inverse*(v-at))))))
		}
		return
	}
	zero, top := magicBits(0), magicBits(s.n)
	for i, v := range x {
		q[i] = clampMagic(float32(inverse*(v-at))+roundMagic, zero, top)
	}
}

// sums writes the quants and returns sum w*q, sum w*q*q and sum w*q*x.
func (s *minSearch) sums(q, x, w []float32, inverse, at, least, hi float32) (sumL, sumL2, sumXL float32) {
	q, w = q[:len(x)], w[:len(x)]
	if !inRange(inverse, at, least, hi) {
		s.quants(q, x, inverse, at, least, hi)
		for i, v := range x {
			wl := float32(w[i] * q[i])
			sumL += wl
			sumL2 += float32(wl * q[i])
			sumXL += float32(wl * v)
		}
		return sumL, sumL2, sumXL
	}
	zero, top := magicBits(0), magicBits(s.n)
	for i, v := range x {
		l := clampMagic(float32(inverse*(v-at))+roundMagic, zero, top)
		q[i] = l
		wl := float32(w[i] * l)
		sumL += wl
		sumL2 += float32(wl * l)
		sumXL += float32(wl * v)
	}
	return sumL, sumL2, sumXL
}

// loss is the weighted error of the values scale*q + low.
func (s *minSearch) loss(q, x, w []float32, scale, low float32) float32 {
	q, w = q[:len(x)], w[:len(x)]
	var e float32
	if s.abs {
		for i, v := range x {
			diff := (float32(scale*q[i]) + low) - v
			e += float32(w[i] * abs32(diff))
		}
		return e
	}
	for i, v := range x {
		diff := (float32(scale*q[i]) + low) - v
		e += float32(w[i] * float32(diff*diff))
	}
	return e
}

// quants writes the quants of the group that f was fitted to, 0..n.
func (f minFit) quants(q []uint8, x []float32, n int) {
	for i, v := range x[:len(q)] {
		if f.inverse == 0 {
			q[i] = 0
			continue
		}
		q[i] = uint8(max(0, min(n, nearestInt(float32(f.inverse*(v-f.at))))))
	}
}
