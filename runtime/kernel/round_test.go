package kernel

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/quantize/block"
)

func TestDotType(t *testing.T) {
	for weight, want := range map[gguf.Type]gguf.Type{
		gguf.F32: gguf.F32, gguf.F16: gguf.F16, gguf.BF16: gguf.BF16, gguf.Q8_0: gguf.Q8_0, gguf.Q4_0: gguf.Q8_0, gguf.Q5_1: gguf.Q8_0,
		gguf.Q2_K: gguf.Q8_K, gguf.Q6_K: gguf.Q8_K,
	} {
		if got := DotType(weight); got != want {
			t.Errorf("%v is multiplied with %v, want %v", weight, got, want)
		}
	}
}

// TestRound: a rounded value lies within half a step of the type, rounding again changes nothing but a last bit,
// and a row is rounded in blocks of its own.
func TestRound(t *testing.T) {
	var r Rounder
	for typ, steps := range map[gguf.Type]float64{gguf.F16: 1024, gguf.BF16: 128, gguf.Q8_0: 127, gguf.Q8_K: 127} {
		src := normal(rand.New(rand.NewPCG(1, uint64(typ))), 512)
		clear(src[256:288])
		dst, check := guarded(512)
		if err := r.Round(typ, dst, src); err != nil {
			t.Fatalf("%v: %v", typ, err)
		}
		check(t)
		n := typ.BlockLen()
		moved := 0
		for i := range dst {
			b := src[i/n*n:][:n]
			top := 0.0
			for _, v := range b {
				top = max(top, math.Abs(float64(v)))
			}
			if d := math.Abs(float64(dst[i] - src[i])); !(d <= 0.51*top/steps+top*0x1p-10/2) {
				t.Errorf("%v: %v became %v in a block of up to %v", typ, src[i], dst[i], top)
			}
			if dst[i] != src[i] {
				moved++
			}
		}
		if moved < 300 {
			t.Errorf("%v: only %d values were rounded", typ, moved)
		}
		alone := make([]float32, 256)
		if err := r.Round(typ, alone, src[256:]); err != nil {
			t.Fatal(err)
		}
		for i, v := range alone {
			if v != dst[256+i] {
				t.Errorf("%v: element %d is %v alone, %v in the row", typ, i, v, dst[256+i])
			}
		}
	}
}

// TestRoundQ8_0 differs from the codec at halves only.
func TestRoundQ8_0(t *testing.T) {
	src := make([]float32, 32)
	src[0], src[1], src[2], src[3] = 127, 0.5, 1.5, -2.5
	dst := make([]float32, 32)
	if err := roundQ8_0(dst, src); err != nil {
		t.Fatal(err)
	}
	if dst[0] != 127 || dst[1] != 0 || dst[2] != 2 || dst[3] != -2 {
		t.Errorf("%v", dst[:4])
	}
	c, _ := block.For(gguf.Q8_0)
	src = normal(rand.New(rand.NewPCG(1, 1)), 3200)
	enc, want, got := make([]byte, 3400), make([]float32, 3200), make([]float32, 3200)
	if err := c.Encode(enc, src, nil); err != nil {
		t.Fatal(err)
	}
	c.Decode(want, enc)
	if err := roundQ8_0(got, src); err != nil {
		t.Fatal(err)
	}
	other := 0
	for i := range want {
		if got[i] != want[i] {
			other++
		}
	}
	if other > 3 {
		t.Errorf("%d of %d values differ from the codec's", other, len(want))
	}
}

func TestRoundRefuses(t *testing.T) {
	var r Rounder
	row := make([]float32, 256)
	for typ, v := range map[gguf.Type]float32{gguf.F16: 1e6, gguf.Q8_0: 3e38, gguf.Q8_K: float32(math.Inf(1))} {
		clear(row)
		row[5] = v
		dst := make([]float32, 256)
		if err := r.Round(typ, dst, row); err == nil && !(dst[5]-dst[5] != 0) {
			t.Errorf("%v: %v became %v without an error", typ, v, dst[5])
		}
	}
	for _, typ := range []gguf.Type{gguf.Q8_0, gguf.Q8_K} {
		if err := r.Round(typ, row, row[:100]); err == nil {
			t.Errorf("%v: a row of 100 was rounded", typ)
		}
	}
	if err := r.Round(gguf.I32, row, row); err == nil {
		t.Error("rounded to I32")
	}
}
