package block

// tinyGroup is the magnitude below which the reference takes a group of weights for zeros.
const tinyGroup = 1e-15

// signedFit is how a group of weights is best rounded to -n..n-1: values are scale*q with
// q = nearest(x*inverse). A group of zeros has inverse 0.
type signedFit struct{ scale, inverse float32 }

// fitSigned tries 19 scales around the one that maps the largest magnitude to -n, and keeps
// the one with the least weighted error. ggml's make_qx_quants, rmse_type 1; w are the weights
// of the squared errors. Groups have at most 32 elements.
func fitSigned(x, w []float32, n float32) signedFit {
	var wxs [32]float32
	wx := wxs[:len(x)]
	w = w[:len(x)]
	var top, amax float32
	for i, v := range x {
		wx[i] = float32(w[i] * v)
		if a := abs32(v); a > amax {
			amax, top = a, v
		}
	}
	if amax < tinyGroup {
		return signedFit{}
	}
	// |x*inverse| is at most n+1 here, so the float form of nearestInt is exact.
	f := signedFit{inverse: -n / top}
	sumlx, suml2 := signedSums(x, w, wx, f.inverse, n)
	if suml2 != 0 {
		f.scale = sumlx / suml2
	}
	best := float32(f.scale * sumlx)
	for k := 0; k < len(trials); k += 2 { // two trials at a time keep the adders busy
		a, b := -(n+float32(0.1*trials[k]))/top, -(n+float32(0.1*trials[k+1]))/top
		alx, al2, blx, bl2 := signedSums2(x, w, wx, a, b, n)
		if al2 > 0 && float32(alx*alx) > float32(best*al2) {
			f = signedFit{alx / al2, a}
			best = float32(f.scale * alx)
		}
		if bl2 > 0 && float32(blx*blx) > float32(best*bl2) {
			f = signedFit{blx / bl2, b}
			best = float32(f.scale * blx)
		}
	}
	return f
}

// trials are the steps of a tenth by which fitSigned varies n.
var trials = [...]float32{-9, -8, -7, -6, -5, -4, -3, -2, -1, 1, 2, 3, 4, 5, 6, 7, 8, 9}

// signedSums is sum w*x*q and sum w*q*q for q = nearest(x*inverse) in -n..n-1; wx are the products w*x.
func signedSums(x, w, wx []float32, inverse, n float32) (sumlx, suml2 float32) {
	w, wx = w[:len(x)], wx[:len(x)]
	lo, hi := magicBits(-n), magicBits(n-1)
	for i, v := range x {
		l := clampMagic(float32(v*inverse)+roundMagic, lo, hi)
		sumlx += float32(wx[i] * l)
		suml2 += float32(float32(w[i]*l) * l)
	}
	return sumlx, suml2
}

// signedSums2 is signedSums for two inverse scales.
func signedSums2(x, w, wx []float32, a, b, n float32) (alx, al2, blx, bl2 float32) {
	w, wx = w[:len(x)], wx[:len(x)]
	lo, hi := magicBits(-n), magicBits(n-1)
	for i, v := range x {
		la := clampMagic(float32(v*a)+roundMagic, lo, hi)
		lb := clampMagic(float32(v*b)+roundMagic, lo, hi)
		alx += float32(wx[i] * la)
		al2 += float32(float32(w[i]*la) * la)
		blx += float32(wx[i] * lb)
		bl2 += float32(float32(w[i]*lb) * lb)
	}
	return alx, al2, blx, bl2
}

// quants writes q+n for the group that f was fitted to. The reference leaves 0, not n, for a group of zeros.
func (f signedFit) quants(q []uint8, x []float32, n int) {
	for i, v := range x[:len(q)] {
		if f.inverse == 0 {
			q[i] = 0
			continue
		}
		q[i] = uint8(n + max(-n, min(n-1, nearestInt(float32(f.inverse*v)))))
	}
}

// fitScales rounds the scales (or mins) of a super-block's groups to 0..n under one common scale,
// which it returns. ggml's make_qp_quants; w are the weights of the groups. Scales, not negative
// in sane input, wrap in q as the reference's bytes do.
func fitScales(q []uint8, x, w []float32, n int) float32 {
	q, w = q[:len(x)], w[:len(x)]
	var top float32
	for _, v := range x {
		if v > top {
			top = v
		}
	}
	if top < tinyGroup {
		clear(q)
		return 0
	}
	inverse := bestInverse(x, w, float32(n), top)
	var sumlx, suml2 float32
	for i, v := range x {
		l := min(n, nearestInt(float32(inverse*v)))
		q[i] = uint8(l)
		sumlx += float32(float32(w[i]*v) * float32(l))
		suml2 += float32(float32(w[i]*float32(l)) * float32(l))
	}
	for range 5 {
		changed := false
		for i, v := range x {
			wx, l := float32(w[i]*v), float32(q[i])
			slx := sumlx - float32(wx*l)
			sl2 := suml2 - float32(float32(w[i]*l)*l)
			if !(slx > 0 && sl2 > 0) {
				continue
			}
			next := min(n, nearestInt(float32(v*sl2)/slx))
			if next == int(q[i]) {
				continue
			}
			slx += float32(wx * float32(next))
			sl2 += float32(float32(w[i]*float32(next)) * float32(next))
			if float32(float32(slx*slx)*suml2) > float32(float32(sumlx*sumlx)*sl2) {
				q[i], sumlx, suml2 = uint8(next), slx, sl2
				changed = true
			}
		}
		if !changed {
			break
		}
	}
	if suml2 > 0 {
		return sumlx / suml2
	}
	return 0
}

// bestInverse picks among nine inverse scales around n/top the one with the least weighted squared error.
func bestInverse(x, w []float32, n, top float32) float32 {
	inverse := n / top
	scale := 1 / inverse
	var best float32
	for i, v := range x {
		// The reference has stored these in bytes.
		diff := v - float32(scale*float32(uint8(nearestInt(float32(inverse*v)))))
		best += float32(float32(w[i]*diff) * diff)
	}
	for is := float32(-4); is <= 4; is++ {
		if is == 0 {
			continue
		}
		try := (float32(0.1*is) + n) / top
		scale := 1 / try
		var mse float32
		for i, v := range x {
			diff := v - float32(scale*float32(min(int(n), nearestInt(float32(try*v)))))
			mse += float32(float32(w[i]*diff) * diff)
		}
		if mse < best {
			best, inverse = mse, try
		}
	}
	return inverse
}
