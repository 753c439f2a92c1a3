package block

import "github.com/moeconv/moeconv/gguf"

// A Q3_K super-block: 32 bytes of third bits, 64 bytes of bit pairs, scales of 6 bits for 16
// groups of 16 in 12 bytes, f16 scale d. Value = d*(scale-32)*(q-4).
const (
	sizeQ3_K = 32 + 64 + 12 + 2
	lowQ3_K  = 32
	subQ3_K  = 32 + 64
	dQ3_K    = 32 + 64 + 12
)

func init() {
	register(Codec{Type: gguf.Q3_K, Encode: encodeQ3_K, Decode: decodeQ3_K, Validate: validate16(gguf.Q3_K, dQ3_K)})
}

func encodeQ3_K(dst []byte, src, importance []float32) error {
	return each256(gguf.Q3_K, dst, src, importance, blockQ3_K)
}

func blockQ3_K(y []byte, x, importance *[len256]float32) (bad float32) {
	var (
		q      [len256]uint8 // the fits' quants, kept for groups whose scale rounds to zero
		scales [16]float32
		ls     [16]uint8
		d      float32
	)
	if importance == nil {
		for g := range scales {
			scales[g] = refineQ3_K(q[16*g:16*g+16], x[16*g:16*g+16])
		}
		if bad := firstBad(scales[:]); bad != 0 {
			return bad
		}
		d = roundScalesQ3_K(&ls, &scales)
	} else {
		var sums, weights [16]float32
		sigma2 := meanSquareTwice(x)
		if sigma2-sigma2 != 0 {
			return sigma2
		}
		for g := range scales {
			xs := x[16*g : 16*g+16]
			sums[g] = weigh(weights[:], xs, importance[16*g:16*g+16], sigma2)
			f := fitSigned(xs, weights[:], 4)
			f.quants(q[16*g:16*g+16], xs, 4)
			scales[g] = f.scale
		}
		if bad := firstBad(scales[:]); bad != 0 {
			return bad
		}
		f := fitSigned(scales[:], sums[:], 32)
		f.quants(ls[:], scales[:], 32)
		d = f.scale
	}
	if d, bad = storeScale(y[dQ3_K:], d); bad != 0 {
		return bad
	}
	for g, l := range ls {
		if dg := float32(d * float32(int(l)-32)); dg != 0 {
			requantSigned(q[16*g:16*g+16], x[16*g:16*g+16], dg, 4)
		}
	}
	packQ3_K(y, &q, &ls)
	return 0
}

// refineQ3_K rounds a group to q-4 in -4..3 and moves single quants as long as that lessens the error, at most
// five times over; q is written and the scale returned. ggml's make_q3_quants.
func refineQ3_K(q []uint8, x []float32) float32 {
	var l, ws, wxs [16]float32
	var amax, top float32
	for i, v := range x[:16] {
		ws[i] = float32(v * v)
		wxs[i] = float32(ws[i] * v)
		if a := abs32(v); a > amax {
			amax, top = a, v
		}
	}
	if amax < tinyGroup {
		clear(q)
		return 0
	}
	inverse := -4 / top
	var sumlx, suml2 float32
	for i, v := range x[:16] {
		l[i] = float32(max(-4, min(3, nearestInt(float32(inverse*v)))))
		sumlx += float32(wxs[i] * l[i])
		suml2 += float32(float32(ws[i]*l[i]) * l[i])
	}
	for range 5 {
		changed := false
		for i, v := range x[:16] {
			slx := sumlx - float32(wxs[i]*l[i])
			if !(slx > 0) {
				continue
			}
			sl2 := suml2 - float32(float32(ws[i]*l[i])*l[i])
			next := float32(max(-4, min(3, nearestInt(float32(v*sl2)/slx))))
			if next == l[i] {
				continue
			}
			slx += float32(wxs[i] * next)
			sl2 += float32(float32(ws[i]*next) * next)
			if sl2 > 0 && float32(float32(slx*slx)*suml2) > float32(float32(sumlx*sumlx)*sl2) {
				l[i], sumlx, suml2 = next, slx, sl2
				changed = true
			}
		}
		if !changed {
			break
		}
	}
	for i := range q {
		q[i] = uint8(int(l[i]) + 4)
	}
	if suml2 > 0 {
		return sumlx / suml2
	}
	return 0
}

// roundScalesQ3_K maps the scale of largest magnitude to -32, writes the scales plus 32 and returns their common scale.
func roundScalesQ3_K(ls *[16]uint8, scales *[16]float32) float32 {
	var amax, top float32
	for _, s := range scales {
		if a := abs32(s); a > amax {
			amax, top = a, s
		}
	}
	if top == 0 {
		return 0
	}
	inverse := -32 / top
	for g, s := range scales {
		// The reference cuts to 8 bits before it clamps, which matters where inverse is infinite.
		ls[g] = uint8(max(-32, min(31, int8(nearestInt(float32(inverse*s))))) + 32)
	}
	return 1 / inverse
}

func packQ3_K(y []byte, q *[len256]uint8, ls *[16]uint8) {
	high := y[:32]
	for i := range high {
		var h uint8
		for run := range 8 { // bit r of byte i belongs to element i of run r
			h |= q[32*run+i] >> 2 << run
		}
		high[i] = h
	}
	packPairs((*[64]byte)(y[lowQ3_K:]), q)
	sub := y[subQ3_K : subQ3_K+12]
	clear(sub)
	for g, l := range ls { // low nibbles of 0..7 and 8..15 share eight bytes, high pairs of g, g+4, g+8, g+12 a byte
		sub[g%8] |= l & 15 << (g / 8 * 4)
		sub[8+g%4] |= l >> 4 << (g / 4 * 2)
	}
}

func decodeQ3_K(dst []float32, src []byte) {
	for ; len(dst) >= len256; dst, src = dst[len256:], src[sizeQ3_K:] {
		x := (*[sizeQ3_K]byte)(src)
		d := F16ToF32(load16(x[dQ3_K:]))
		sub := x[subQ3_K : subQ3_K+12]
		for g := range 16 {
			l := sub[g%8]>>(g/8*4)&15 | sub[8+g%4]>>(g/4*2)&3<<4
			scale := float32(d * float32(int(l)-32))
			// Group g is half of run g/2.
			low, high, shift := x[lowQ3_K+32*(g/8)+16*(g%2):], x[16*(g%2):], g/2%4*2
			for i, b := range low[:16] {
				dst[16*g+i] = float32(scale * float32(int(b>>shift&3|high[i]>>(g/2)&1<<2)-4))
			}
		}
	}
}
