package block

import "github.com/moeconv/moeconv/gguf"

// A Q6_K super-block: 128 bytes of low nibbles, 64 of high bit pairs, an int8 scale for
// each of 16 groups of 16, f16 scale d. Value = d*scale*(q-32).
const (
	sizeQ6_K = 128 + 64 + 16 + 2
	highQ6_K = 128
	subQ6_K  = 128 + 64
	dQ6_K    = 128 + 64 + 16
)

func init() {
	register(Codec{Type: gguf.Q6_K, Encode: encodeQ6_K, Decode: decodeQ6_K, Validate: validate16(gguf.Q6_K, dQ6_K)})
}

func encodeQ6_K(dst []byte, src, importance []float32) error {
	return each256(gguf.Q6_K, dst, src, importance, blockQ6_K)
}

// blockQ6_K weighs by importance as it is, otherwise by the square of each weight.
func blockQ6_K(y []byte, x, importance *[len256]float32) (bad float32) {
	var (
		fits   [16]signedFit
		top    float32
		topAbs float32
		square [16]float32
	)
	for g := range fits {
		xs, w := x[16*g:16*g+16], square[:]
		if importance != nil {
			w = importance[16*g : 16*g+16]
		} else {
			for i, v := range xs {
				square[i] = float32(v * v)
			}
		}
		fits[g] = fitSigned(xs, w, 32)
		s := fits[g].scale
		if s-s != 0 {
			return s
		}
		if a := abs32(s); a > topAbs {
			topAbs, top = a, s
		}
	}
	if topAbs < tinyGroup {
		clear(y)
		return 0
	}
	inverse := -128 / top
	d, bad := storeScale(y[dQ6_K:], 1/inverse)
	if bad != 0 {
		return bad
	}
	var q [len256]uint8
	for g := range fits {
		s := int8(min(127, nearestInt(float32(inverse*fits[g].scale))))
		y[subQ6_K+g] = byte(s)
		if ds := float32(d * float32(s)); ds != 0 {
			requantSigned(q[16*g:16*g+16], x[16*g:16*g+16], ds, 32)
		} else {
			fits[g].quants(q[16*g:16*g+16], x[16*g:16*g+16], 32)
		}
	}
	packQ6_K(y, &q)
	return 0
}

// requantSigned writes nearest(x/d) + n, -n..n-1 before the addition.
func requantSigned(q []uint8, x []float32, d float32, n int) {
	for i, v := range x[:len(q)] {
		q[i] = uint8(n + max(-n, min(n-1, nearestInt(v/d))))
	}
}

// packQ6_K lays out each half of a super-block as four runs of 32: runs 0 and 2 share bytes, 1 and 3 share bytes.
func packQ6_K(y []byte, q *[len256]uint8) {
	for half := range 2 {
		low, high, r := y[64*half:64*half+64], y[highQ6_K+32*half:highQ6_K+32*half+32], q[128*half:128*half+128]
		for i := range high {
			a, b, c, d := r[i], r[32+i], r[64+i], r[96+i]
			low[i] = a&15 | c<<4
			low[32+i] = b&15 | d<<4
			high[i] = a>>4 | b>>4<<2 | c>>4<<4 | d>>4<<6
		}
	}
}

func decodeQ6_K(dst []float32, src []byte) {
	for ; len(dst) >= len256; dst, src = dst[len256:], src[sizeQ6_K:] {
		x := (*[sizeQ6_K]byte)(src)
		d := F16ToF32(load16(x[dQ6_K:]))
		for half := range 2 {
			low, high, y := x[64*half:64*half+64], x[highQ6_K+32*half:highQ6_K+32*half+32], dst[128*half:128*half+128]
			var s [8]float32
			for g := range s {
				s[g] = float32(d * float32(int8(x[subQ6_K+8*half+g])))
			}
			for i, h := range high {
				g := i / 16
				y[i] = float32(s[g] * float32(int(low[i]&15|h&3<<4)-32))
				y[32+i] = float32(s[g+2] * float32(int(low[32+i]&15|h>>2&3<<4)-32))
				y[64+i] = float32(s[g+4] * float32(int(low[i]>>4|h>>4&3<<4)-32))
				y[96+i] = float32(s[g+6] * float32(int(low[32+i]>>4|h>>6<<4)-32))
			}
		}
	}
}
