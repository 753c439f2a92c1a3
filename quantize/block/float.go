package block

import (
	"encoding/binary"
	"math"
)

// F16ToF32 widens an IEEE half. NaNs come out quiet, with their payload.
func F16ToF32(h uint16) float32 {
	sign, m := uint32(h&0x8000)<<16, uint32(h&0x7fff)
	switch {
	case m-0x400 < 0x7c00-0x400: // normal: rebias the exponent by 127-15
		return math.Float32frombits(sign | (m<<13 + 0x38000000))
	case m < 0x400: // subnormal: m units of 2^-24, the unit in the last place of 0.5
		return math.Float32frombits(sign | math.Float32bits(math.Float32frombits(m|0x3f000000)-0.5))
	case m == 0x7c00:
		return math.Float32frombits(sign | 0x7f800000)
	}
	return math.Float32frombits(sign | m<<13 | 0x7fc00000)
}

// F32ToF16 rounds to the nearest IEEE half, ties to even, as ggml does: magnitudes
// from 65520 become infinite, NaNs become the quiet NaN 0x7e00 with their sign.
func F32ToF16(f float32) uint16 {
	b := math.Float32bits(f)
	sign, m := uint16(b>>16)&0x8000, b&0x7fffffff
	switch {
	case m < 0x38800000: // below 2^-14: the half is subnormal, let the addition round at 2^-24
		return sign | uint16(math.Float32bits(math.Float32frombits(m)+0.5))
	case m < 0x47800000:
		return sign | uint16((m-0x38000000+0xfff+(m>>13&1))>>13)
	case m > 0x7f800000:
		return sign | 0x7e00
	}
	return sign | 0x7c00
}

// BF16ToF32 widens a bfloat16; every pattern is exact.
func BF16ToF32(h uint16) float32 { return math.Float32frombits(uint32(h) << 16) }

// F32ToBF16 rounds to the nearest bfloat16, ties to even; NaNs become quiet. ggml's
// ggml_compute_fp32_to_bf16 and the numpy form in gguf-py, with which the reference
// converter writes, agree on every pattern: the latter clears a NaN's low half before
// rounding, where the former returns early.
func F32ToBF16(f float32) uint16 {
	b := math.Float32bits(f)
	if b&0x7fffffff > 0x7f800000 {
		return uint16(b>>16) | 64
	}
	return uint16((b + 0x7fff + (b >> 16 & 1)) >> 16)
}

// roundMagic is 1.5*2^23: adding it leaves a float32 no fraction bits, so the sum is rounded half to even.
const roundMagic = 12582912

// nearestInt rounds half to even by reading the low bits of f+roundMagic, as ggml's nearest_int. It is defined
// for every f: beyond 2^22 it gives what the bits say, which is -2^22 for the infinities and 0 for a default NaN.
// The conversion keeps a product given as f, once inlined, from being fused with the addition.
func nearestInt(f float32) int {
	return int(math.Float32bits(float32(f)+roundMagic)&0x007fffff) - 0x00400000
}

// inMagic reports whether nearestInt(f) is f rounded, so that (f+roundMagic)-roundMagic is the same as a float.
func inMagic(f float32) bool { return f >= -4194303 && f <= 4194303 }

// magicBits are the bits of an integer plus roundMagic; they are ordered as the integers.
func magicBits(n float32) int32 { return int32(math.Float32bits(n + roundMagic)) }

// clampMagic takes a rounded value plus roundMagic, clamps it by its bits, which takes no branch, and returns the value.
func clampMagic(f float32, lo, hi int32) float32 {
	return math.Float32frombits(uint32(min(max(int32(math.Float32bits(f)), lo), hi))) - roundMagic
}

// roundSmall rounds half away from zero, for |f| < 2^22. Adding the float below 0.5 and cutting off is exact:
// with 0.5 itself the float below 0.5 would become 1.
func roundSmall(f float32) int32 {
	const belowHalf = 0x3effffff
	half := math.Float32frombits(math.Float32bits(f)&0x80000000 | belowHalf)
	return int32(float32(f) + half)
}

func abs32(f float32) float32 { return math.Float32frombits(math.Float32bits(f) & 0x7fffffff) }

func sqrt32(f float32) float32 { return float32(math.Sqrt(float64(f))) }

// finite16 reports whether an f16 is neither NaN nor Inf.
func finite16(h uint16) bool { return h&0x7c00 != 0x7c00 }

func load16(p []byte) uint16 { return binary.LittleEndian.Uint16(p) }

func store16(p []byte, v uint16) { binary.LittleEndian.PutUint16(p, v) }

func load32(p []byte) uint32 { return binary.LittleEndian.Uint32(p) }

func store32(p []byte, v uint32) { binary.LittleEndian.PutUint32(p, v) }
