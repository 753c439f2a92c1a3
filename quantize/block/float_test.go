package block

import (
	"math"
	"testing"

	"github.com/x448/float16"
)

// TestF16Decode compares all 65536 halves with the oracle, x448/float16.
func TestF16Decode(t *testing.T) {
	for h := range 1 << 16 {
		got, want := F16ToF32(uint16(h)), float16.Frombits(uint16(h)).Float32()
		if math.Float32bits(got) != math.Float32bits(want) {
			t.Fatalf("F16ToF32(%#04x) = %#08x, want %#08x", h, math.Float32bits(got), math.Float32bits(want))
		}
		if back := F32ToF16(got); finite16(uint16(h)) && back != uint16(h) {
			t.Fatalf("F32ToF16(F16ToF32(%#04x)) = %#04x", h, back)
		}
	}
}

// TestF16Encode rounds floats around every half, every midpoint of two halves and a walk over all float bits.
func TestF16Encode(t *testing.T) {
	check := func(b uint32) {
		f := math.Float32frombits(b)
		want := float16.Fromfloat32(f).Bits()
		if f != f {
			want = uint16(b>>16)&0x8000 | 0x7e00 // ggml drops the payload
		}
		if got := F32ToF16(f); got != want {
			t.Fatalf("F32ToF16(%#08x = %v) = %#04x, want %#04x", b, f, got, want)
		}
	}
	for h := range uint32(1 << 16) {
		b := math.Float32bits(F16ToF32(uint16(h)))
		for _, near := range []uint32{0, 1, 0x0fff, 0x1000, 0x1001, 0x1fff, ^uint32(0)} {
			check(b + near)
		}
	}
	// Subnormal halves are 2^-24 apart: their midpoints are not where those of the normal ones are.
	for i := range 2050 {
		mid := math.Float32bits(float32(math.Ldexp(float64(i)+0.5, -24)))
		for _, b := range []uint32{mid - 1, mid, mid + 1} {
			check(b)
			check(b | 0x80000000)
		}
	}
	step := uint64(2477)
	if testing.Short() {
		step *= 16
	}
	for b := uint64(0); b < 1<<32; b += step {
		check(uint32(b))
	}
}

// TestBF16 compares with rounding done in float64, where bfloat16 midpoints are exact.
func TestBF16(t *testing.T) {
	for h := range 1 << 16 {
		f := BF16ToF32(uint16(h))
		if back := F32ToBF16(f); f == f && back != uint16(h) {
			t.Fatalf("F32ToBF16(BF16ToF32(%#04x)) = %#04x", h, back)
		}
		if f != f && F32ToBF16(f) != uint16(h)|64 {
			t.Fatalf("F32ToBF16(NaN %#04x) = %#04x, want it quiet", h, F32ToBF16(f))
		}
	}
	for b := uint64(0); b < 1<<32; b += 3571 {
		f := math.Float32frombits(uint32(b))
		if f != f {
			continue
		}
		if got, want := F32ToBF16(f), nearestBF16(uint32(b)); got != want {
			t.Fatalf("F32ToBF16(%#08x) = %#04x, want %#04x", b, got, want)
		}
	}
}

// nearestBF16 picks between the two neighbours by distance, the even one on a tie.
func nearestBF16(b uint32) uint16 {
	lo := uint16(b >> 16)
	switch low := b & 0xffff; {
	case low > 0x8000, low == 0x8000 && lo&1 == 1:
		return lo + 1
	}
	return lo
}

// TestRounding holds the two roundings against math's, around every boundary of the ranges the codecs use.
func TestRounding(t *testing.T) {
	check := func(f float32) {
		if got, want := roundSmall(f), int32(math.Round(float64(f))); got != want {
			t.Fatalf("roundSmall(%v = %#08x) = %d, want %d", f, math.Float32bits(f), got, want)
		}
		if got, want := nearestInt(f), int(math.RoundToEven(float64(f))); got != want {
			t.Fatalf("nearestInt(%v = %#08x) = %d, want %d", f, math.Float32bits(f), got, want)
		}
	}
	for i := range 4096 {
		b := math.Float32bits(float32(i) / 4)
		for d := -3; d <= 3; d++ {
			f := math.Float32frombits(max(b, 3) + uint32(d))
			check(f)
			check(-f)
		}
	}
	for f := float32(4194303); f > 1e-40; f /= 1.0001 {
		check(f)
		check(-f)
	}
	inf := float32(math.Inf(1))
	for f, want := range map[float32]int{inf: -1 << 22, -inf: -1 << 22} {
		if got := nearestInt(f); got != want {
			t.Errorf("nearestInt(%v) = %d, want %d", f, got, want)
		}
	}
}
