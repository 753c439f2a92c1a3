package block

// superSearch finds the scales of a Q4_K or Q5_K super-block: 8 groups of 32 with a scale
// and a min of 6 bits each under common f16 scales d and dmin. Value = d*scale*q - dmin*min.
type superSearch struct {
	plain, weighted minSearch
	// scaleCap bounds the 6-bit scales found under importance. The reference forgets it for Q4_K.
	scaleCap uint8
}

// headLen is the length of the common head of the two types: d, dmin and the 6-bit scales and mins.
const headLen = 2 + 2 + 12

// encode writes the head and the quants of a super-block.
func (s *superSearch) encode(head *[headLen]byte, q *[len256]uint8, x, importance *[len256]float32) (bad float32) {
	var (
		fits         [8]minFit
		scales, mins [8]float32
		ls, lm       [8]uint8
		d, dmin      float32
		sums         [8]float32
		weights      [32]float32
	)
	n := int(s.plain.n)
	if importance == nil {
		for g := range fits {
			xs := x[32*g : 32*g+32]
			mean := sqrt32(meanSquare(xs, 32))
			for i, v := range xs {
				weights[i] = mean + abs32(v)
			}
			fits[g] = s.plain.fit(xs, weights[:])
			scales[g], mins[g] = fits[g].scale, fits[g].min
		}
		d, dmin = roundScales63(&ls, &scales), roundScales63(&lm, &mins)
	} else {
		sigma2 := meanSquareTwice(x)
		if sigma2-sigma2 != 0 {
			return sigma2
		}
		for g := range fits {
			xs := x[32*g : 32*g+32]
			sums[g] = weigh(weights[:], xs, importance[32*g:32*g+32], sigma2)
			fits[g] = s.weighted.fit(xs, weights[:])
			scales[g], mins[g] = fits[g].scale, fits[g].min
		}
		d, dmin = fitScales(ls[:], scales[:], sums[:], 63), fitScales(lm[:], mins[:], sums[:], 63)
		for g := range ls {
			ls[g], lm[g] = min(ls[g], s.scaleCap), min(lm[g], s.scaleCap)
		}
	}
	if bad := firstBad(scales[:]); bad != 0 {
		return bad
	}
	packScales((*[12]byte)(head[4:]), &ls, &lm)
	if d, bad = storeScale(head[0:2], d); bad != 0 {
		return bad
	}
	if dmin, bad = storeScale(head[2:4], dmin); bad != 0 {
		return bad
	}
	for g := range fits {
		qs, xs := q[32*g:32*g+32], x[32*g:32*g+32]
		sc, m := scaleMin((*[12]byte)(head[4:]), g)
		if dg := float32(d * float32(sc)); dg != 0 {
			requantMin(qs, xs, dg, float32(dmin*float32(m)), n)
		} else {
			fits[g].quants(qs, xs, n)
		}
	}
	return 0
}

// meanSquareTwice is twice the mean square of a super-block. Where it overflows, the weights under importance do.
func meanSquareTwice(x *[len256]float32) float32 {
	var sum float32
	for _, v := range x {
		sum += float32(v * v)
	}
	return float32(2*sum) / len256
}

// roundScales63 rounds scales to 6 bits and returns the common scale, that of the largest over 63.
func roundScales63(l *[8]uint8, scales *[8]float32) float32 {
	var top, inverse float32
	for _, s := range scales {
		if s > top {
			top = s
		}
	}
	if top > 0 {
		inverse = 63 / top
	}
	for i, s := range scales {
		l[i] = min(63, uint8(nearestInt(float32(inverse*s))))
	}
	return top / 63
}

// requantMin writes nearest((x+m)/d) in 0..n.
func requantMin(q []uint8, x []float32, d, m float32, n int) {
	for i, v := range x[:len(q)] {
		q[i] = uint8(max(0, min(n, nearestInt((v+m)/d))))
	}
}

// packScales packs eight scales and eight mins of 6 bits into 12 bytes: 0..3 in the first eight bytes, whose upper
// bits take the upper bits of 4..7, and the low nibbles of these in the last four.
func packScales(p *[12]byte, ls, lm *[8]uint8) {
	for j := range 4 {
		p[j], p[j+4] = ls[j], lm[j]
	}
	for j := 4; j < 8; j++ {
		p[j+4] = ls[j]&15 | lm[j]&15<<4
		p[j-4] |= ls[j] >> 4 << 6
		p[j] |= lm[j] >> 4 << 6
	}
}

// scaleMin unpacks scale and min of group j.
func scaleMin(p *[12]byte, j int) (scale, low uint8) {
	if j < 4 {
		return p[j] & 63, p[j+4] & 63
	}
	return p[j+4]&15 | p[j-4]>>6<<4, p[j+4]>>4 | p[j]>>6<<4
}

// decodeHead returns the groups' scales and mins as floats.
func decodeHead(head *[headLen]byte) (scales, mins [8]float32) {
	d, dmin := F16ToF32(load16(head[0:2])), F16ToF32(load16(head[2:4]))
	for g := range scales {
		sc, m := scaleMin((*[12]byte)(head[4:]), g)
		scales[g], mins[g] = float32(d*float32(sc)), float32(dmin*float32(m))
	}
	return scales, mins
}
