package kernel

import (
	"math/rand/v2"
	"testing"

	"github.com/moeconv/moeconv/gguf"
)

// checkRaw holds MatMulEncoded against the specification with any bytes as weights: all are, the encoder's or not.
func checkRaw(t *testing.T, typ gguf.Type, l *layout, src []byte, x []float32, rows, tokens, cols int) {
	t.Helper()
	var in Inputs
	in.Reset(DotType(typ), tokens, cols)
	for i := range tokens {
		if err := in.Put(i, x[i*cols:][:cols]); err != nil {
			t.Fatal(err)
		}
	}
	var s Scratch
	got, check := guarded(rows * tokens)
	want := make([]float32, rows*tokens)
	MatMulEncoded(Mat{got, rows}, typ, src, in, rows, tokens, &s)
	check(t)
	l.matMulEncodedGeneric(Mat{want, rows}, typ, src, in, rows, tokens)
	for i := range want {
		if got[i] != want[i] && (got[i] == got[i] || want[i] == want[i]) {
			t.Fatalf("%d rows, %d tokens, k %d: element %d is %v, want %v", rows, tokens, cols, i, got[i], want[i])
		}
	}
}

// TestMatMulEncodedRaw: random bytes, and those whose quants and scales are largest, with inputs that are, too.
func TestMatMulEncodedRaw(t *testing.T) {
	eachImpl(t, func(t *testing.T) {
		eachLayout(t, func(t *testing.T, typ gguf.Type, l *layout) {
			if !Integer(typ) {
				return
			}
			r := rand.New(rand.NewPCG(1, 3))
			const rows, tokens = 17, 7
			for _, cols := range colsFor(typ) {
				n, err := typ.RowBytes(int64(cols))
				if err != nil {
					t.Fatal(err)
				}
				src, ones := make([]byte, rows*int(n)), make([]float32, tokens*cols)
				for i := range ones {
					ones[i] = 1 - 2*float32(i/cols%2)
				}
				for _, fill := range []int{-1, 0, 0x7f, 0x80, 0x81, 0x88, 0xff} {
					for i := range src {
						if src[i] = byte(fill); fill < 0 {
							src[i] = byte(r.Uint32())
						}
					}
					checkRaw(t, typ, l, src, ones, rows, tokens, cols)
					checkRaw(t, typ, l, src, normal(r, tokens*cols), rows, tokens, cols)
				}
			}
		})
	})
}

func FuzzMatMulEncoded(f *testing.F) {
	f.Add([]byte("seed"), uint32(gguf.Q8_0), uint8(7), uint64(1))
	f.Fuzz(func(t *testing.T, data []byte, kind uint32, tokens uint8, seed uint64) {
		typ := gguf.Type(kind)
		l := layouts[typ]
		if l == nil || !Integer(typ) || tokens == 0 || tokens > 20 || len(data) > 1<<14 {
			return
		}
		if blocks := len(data) / typ.BlockSize(); blocks > 0 {
			cols := blocks * typ.BlockLen()
			x := normal(rand.New(rand.NewPCG(seed, 1)), int(tokens)*cols)
			checkRaw(t, typ, l, data[:blocks*typ.BlockSize()], x, 1, int(tokens), cols)
		}
	})
}
