package kernel

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/moeconv/moeconv/gguf"
)

// checkPut holds putGroup against the specification, and that against Round.
func checkPut(t *testing.T, src []float32, typ gguf.Type) {
	t.Helper()
	var want inputs
	got := [2]inputs{1: {scales: [8]float32{guard}}}
	for i := range got[0].quants { // what was there before must not matter
		got[0].quants[i] = 77
	}
	ok := putGroupGeneric(&want, src, typ == gguf.Q8_0)
	if gotOK := putGroup(&got[0], src, typ == gguf.Q8_0); ok != gotOK {
		t.Fatalf("%v: ok is %v, want %v, of %v", typ, gotOK, ok, src)
	}
	if !ok {
		return
	}
	sameNaNs(&want)
	g := got[0]
	if sameNaNs(&g); g != want {
		t.Fatalf("%v: %v is\n%v\nwant\n%v", typ, src, g, want)
	}
	if (got[1] != inputs{scales: [8]float32{guard}}) {
		t.Fatal("memory behind the group was overwritten")
	}
	var r Rounder
	rounded := make([]float32, len(src))
	if err := r.Round(typ, rounded, src); err != nil {
		return // the codec refuses values that become NaN here
	}
	for i, v := range rounded {
		if x := got[0].scales[i/32] * float32(g.quants[i]); x != v && v == v && math.Abs(float64(v)) > 1e-30 {
			t.Fatalf("%v: element %d is %v, rounded %v", typ, i, x, v)
		}
	}
}

// sameNaNs puts a number in the place of NaNs, which equal nothing.
func sameNaNs(g *inputs) {
	for _, figures := range []*[8]float32{&g.scales, &g.sums} {
		for i, v := range figures {
			if v != v {
				figures[i] = guard
			}
		}
	}
}

func TestPutGroup(t *testing.T) {
	eachImpl(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(1, 1))
		for range 50 {
			src := normal(r, groupLen)
			for _, typ := range []gguf.Type{gguf.Q8_0, gguf.Q8_K} {
				checkPut(t, src, typ)
				for _, v := range []float32{0, 1e-38, 1e-30, 1e-8, 1e30, 3e38, float32(math.Inf(-1)), float32(math.NaN())} {
					odd := append([]float32(nil), src...)
					odd[r.IntN(groupLen)] = v
					checkPut(t, odd, typ)
					for i := range odd[:64] {
						odd[i] = v * src[i]
					}
					checkPut(t, odd, typ)
				}
			}
			checkPut(t, src[:96], gguf.Q8_0)
			half := make([]float32, groupLen) // halves between quants
			for i := range half {
				half[i] = float32(r.IntN(255)-127) / 2
			}
			half[0] = 127
			checkPut(t, half, gguf.Q8_0)
			checkPut(t, half, gguf.Q8_K)
		}
	})
}

func FuzzPutGroup(f *testing.F) {
	f.Add(uint64(1), float32(1), 3)
	f.Fuzz(func(t *testing.T, seed uint64, v float32, at int) {
		src := normal(rand.New(rand.NewPCG(seed, 1)), groupLen)
		src[uint(at)%groupLen] = v
		checkPut(t, src, gguf.Q8_0)
		checkPut(t, src, gguf.Q8_K)
	})
}
