package block

import (
	"math"
	"testing"
)

// TestScaleE4M3: the codes mean what the format's definition says (OCP 8-bit floating point, E4M3), and every form writes what the
// portable one does, at all lengths and with NaNs anywhere.
func TestScaleE4M3(t *testing.T) {
	for code, want := range map[byte]float32{0: 0, 1: 0x1p-9, 7: 7 * 0x1p-9, 8: 0x1p-6, 0x38: 1, 0x3c: 1.5, 0x7e: 448, 0xfe: -448, 0xb8: -1, 0x81: -0x1p-9} {
		if e4m3Values[code] != want {
			t.Errorf("code %#02x is %v, want %v", code, e4m3Values[code], want)
		}
	}
	for _, code := range []byte{0x7f, 0xff} {
		if v := e4m3Values[code]; v == v {
			t.Errorf("code %#02x is %v, want NaN", code, v)
		}
	}
	if v := e4m3Values[0x80]; math.Float32bits(v) != 0x80000000 {
		t.Errorf("code 0x80 is %v, want -0", v)
	}
	for f := avx2; f <= best; f++ {
		restore, _ := Use(formNames[f])
		for _, scale := range []float32{1, -1.5, 0.0123, 1e30, 1e-40, 0} {
			for _, n := range []int{0, 1, 63, 64, 65, 256, 300} {
				for first := range byte(2) {
					codes, got := make([]byte, n), make([]float32, n)
					for i := range codes {
						codes[i] = byte(i*(1+2*int(first))) | first<<7
					}
					ScaleE4M3(got, codes, scale)
					for i, c := range codes {
						want := float32(e4m3Values[c] * scale)
						if math.Float32bits(got[i]) != math.Float32bits(want) && (want == want || got[i] == got[i]) {
							t.Fatalf("%s, %d codes, scale %v: code %#02x at %d is %v, want %v", formNames[f], n, scale, c, i, got[i], want)
						}
					}
				}
			}
		}
		restore()
	}
}

func BenchmarkScaleE4M3(b *testing.B) {
	codes, dst := make([]byte, benchWeights), make([]float32, benchWeights)
	for i := range codes {
		codes[i] = byte(i) & 0xbf
	}
	for f := generic; f <= best; f++ {
		b.Run("form="+formNames[f], func(b *testing.B) {
			restore, _ := Use(formNames[f])
			defer restore()
			for b.Loop() {
				ScaleE4M3(dst, codes, 0.02)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchWeights, "ns/weight")
		})
	}
}
