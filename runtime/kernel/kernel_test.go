package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// eachImpl runs a test with every form of the kernels that this CPU has.
func eachImpl(t *testing.T, f func(t *testing.T)) {
	for _, name := range Implementations() {
		t.Run(name, func(t *testing.T) {
			restore, ok := Use(name)
			defer restore()
			if !ok || Implementation() != name {
				t.Fatalf("%s cannot be used, %s is", name, Implementation())
			}
			f(t)
		})
	}
}

const guard = float32(-12345.678) // stands around every output

// guarded is n elements of memory with guards on both sides, and a check that they still stand.
func guarded(n int) (buf []float32, check func(t *testing.T)) {
	all := make([]float32, n+32)
	for i := range all {
		all[i] = guard
	}
	return all[16 : 16+n : 16+n], func(t *testing.T) {
		t.Helper()
		for i := range 16 {
			if all[i] != guard || all[n+16+i] != guard {
				t.Fatalf("a guard word beside %d elements was overwritten", n)
			}
		}
	}
}

func normal(r *rand.Rand, n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(r.NormFloat64())
	}
	return x
}

// checkMatMul compares MatMul with sums in float64, within 1e-6*k of the sum of magnitudes, on matrices with gaps.
func checkMatMul(t *testing.T, r *rand.Rand, rows, tokens, k int) {
	t.Helper()
	w, x := Mat{Stride: k + r.IntN(3)}, Mat{Stride: k + r.IntN(3)}
	w.Data, x.Data = normal(r, max(0, rows-1)*w.Stride+k), normal(r, max(0, tokens-1)*x.Stride+k)
	gap := r.IntN(3)
	dst := Mat{Stride: rows + gap}
	var check func(*testing.T)
	dst.Data, check = guarded(tokens * dst.Stride)
	MatMul(dst, w, x, rows, tokens, k)
	check(t)
	for tk := range tokens {
		for i := range gap {
			if dst.Data[tk*dst.Stride+rows+i] != guard {
				t.Fatalf("%d rows, %d tokens, k %d: the gap after row %d was overwritten", rows, tokens, k, tk)
			}
		}
		for rw := range rows {
			sum, size := 0.0, 0.0
			for i := range k {
				v := float64(w.Data[rw*w.Stride+i]) * float64(x.Data[tk*x.Stride+i])
				sum, size = sum+v, size+math.Abs(v)
			}
			got := float64(dst.Data[tk*dst.Stride+rw])
			if !(math.Abs(got-sum) <= 1e-6*float64(k)*size) {
				t.Fatalf("%d rows, %d tokens, k %d: element %d,%d is %g, want %g", rows, tokens, k, tk, rw, got, sum)
			}
		}
	}
}

func TestMatMul(t *testing.T) {
	eachImpl(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(1, 2))
		for k := range 42 {
			checkMatMul(t, r, 1+r.IntN(9), 1+r.IntN(8), k)
		}
		for rows := range 10 {
			for tokens := range 8 {
				checkMatMul(t, r, rows, tokens, 19)
			}
		}
		for _, k := range []int{255, 256, 1000, 5000} {
			checkMatMul(t, r, 11, 13, k)
		}
	})
}

// TestMatMulSmallIntegers: sums of integers below 2^24 are exact in every form.
func TestMatMulSmallIntegers(t *testing.T) {
	eachImpl(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(3, 4))
		const rows, tokens, k = 7, 8, 333
		w, x := make([]float32, rows*k), make([]float32, tokens*k)
		for i := range w {
			w[i] = float32(r.IntN(255) - 127)
		}
		for i := range x {
			x[i] = float32(r.IntN(255) - 127)
		}
		dst := make([]float32, rows*tokens)
		MatMul(Mat{dst, rows}, Mat{w, k}, Mat{x, k}, rows, tokens, k)
		for tk := range tokens {
			for rw := range rows {
				want := 0
				for i := range k {
					want += int(w[rw*k+i]) * int(x[tk*k+i])
				}
				if got := dst[tk*rows+rw]; got != float32(want) {
					t.Fatalf("element %d,%d is %v, want %d", tk, rw, got, want)
				}
			}
		}
	})
}

// TestMatMulTile: a value has the same bits in whatever tile it is computed, and whatever zeros follow.
func TestMatMulTile(t *testing.T) {
	eachImpl(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(5, 6))
		const rows, tokens, k = 9, 7, 77
		w, x := normal(r, rows*(k+11)), normal(r, tokens*(k+11))
		for tk := range tokens {
			clear(x[tk*(k+11)+k:][:11])
		}
		wm, xm := Mat{w, k + 11}, Mat{x, k + 11}
		all, padded := make([]float32, rows*tokens), make([]float32, rows*tokens)
		MatMul(Mat{all, rows}, wm, xm, rows, tokens, k)
		MatMul(Mat{padded, rows}, wm, xm, rows, tokens, k+11)
		for tk := range tokens {
			for rw := range rows {
				got := Dot(wm.Row(rw, k), xm.Row(tk, k))
				if want := all[tk*rows+rw]; got != want || padded[tk*rows+rw] != want {
					t.Fatalf("element %d,%d is %v in a tile, %v alone, %v with zeros after it", tk, rw, want, got, padded[tk*rows+rw])
				}
			}
		}
	})
}

// TestMatMulNotFinite: a NaN or an infinity reaches its own elements only.
func TestMatMulNotFinite(t *testing.T) {
	eachImpl(t, func(t *testing.T) {
		for _, bad := range []float32{float32(math.NaN()), float32(math.Inf(1))} {
			for _, k := range []int{8, 13} {
				w, x := normal(rand.New(rand.NewPCG(7, 8)), 5*k), normal(rand.New(rand.NewPCG(9, 8)), 4*k)
				x[2*k+k-1] = bad
				dst := make([]float32, 20)
				MatMul(Mat{dst, 5}, Mat{w, k}, Mat{x, k}, 5, 4, k)
				for i, v := range dst {
					if finite := v-v == 0; finite == (i/5 == 2) {
						t.Errorf("k %d, %v in token 2: element %d of token %d is %v", k, bad, i%5, i/5, v)
					}
				}
			}
		}
	})
}

func TestMatMulPanicsOnShortMatrices(t *testing.T) {
	for i, f := range []func(d, w, x Mat){
		func(d, w, x Mat) { MatMul(Mat{d.Data[:11], 4}, w, x, 4, 3, 8) },
		func(d, w, x Mat) { MatMul(d, Mat{w.Data[:31], 8}, x, 4, 3, 8) },
		func(d, w, x Mat) { MatMul(d, w, Mat{x.Data[:23], 8}, 4, 3, 8) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("case %d did not panic", i)
				}
			}()
			f(Mat{make([]float32, 12), 4}, Mat{make([]float32, 32), 8}, Mat{make([]float32, 24), 8})
		}()
	}
}

func TestSoftmax(t *testing.T) {
	eachImpl(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(11, 12))
		for n := range 40 {
			x, check := guarded(n)
			copy(x, normal(r, n))
			if n > 3 {
				x[n/2], x[n-1] = 30, -200
			}
			want, sum := make([]float64, n), 0.0
			top := math.Inf(-1)
			for _, v := range x {
				top = max(top, float64(v))
			}
			for i, v := range x {
				want[i] = math.Exp(0.7 * (float64(v) - top))
				sum += want[i]
			}
			Softmax(x, 0.7)
			check(t)
			for i, v := range x {
				w := want[i] / sum
				if diff := math.Abs(float64(v) - w); !(diff <= 1e-35 || diff <= 5e-6*w) { // the argument, up to 100, is rounded to float32
					t.Fatalf("n %d: element %d is %g, want %g", n, i, v, w)
				}
			}
		}
	})
}

func TestSoftmaxNotFinite(t *testing.T) {
	eachImpl(t, func(t *testing.T) {
		for _, n := range []int{3, 8, 21} {
			for _, bad := range []float32{float32(math.NaN()), float32(math.Inf(1))} {
				x := make([]float32, n)
				x[n-2] = bad
				Softmax(x, 1)
				for i, v := range x {
					if i == n-2 && v == v {
						t.Errorf("%v of %d became %v", bad, n, v)
					}
				}
			}
			x := make([]float32, n)
			x[1] = float32(math.Inf(-1))
			if Softmax(x, 1); x[1] != 0 || math.Abs(float64(x[0])-1/float64(n-1)) > 1e-6 {
				t.Errorf("with -Inf: %v", x)
			}
		}
	})
}

func TestSiLU(t *testing.T) {
	eachImpl(t, func(t *testing.T) {
		values := []float32{0, 1, -1, 20, -20, 88, -88, 100, -100, 1e30, -1e30, 1e-30}
		for i := range 2000 {
			values = append(values, float32(i-1000)/37)
		}
		for n := range 30 {
			gate, check := guarded(n)
			up := make([]float32, n)
			for lo := 0; lo < len(values); lo += max(1, n) {
				n := copy(gate, values[lo:])
				for i := range n {
					up[i] = float32(i) - 3
				}
				in := append([]float32(nil), gate[:n]...)
				SiLU(gate[:n], up[:n])
				check(t)
				for i, g := range in {
					want := float64(g) / (1 + math.Exp(-float64(g))) * float64(up[i])
					if diff := math.Abs(float64(gate[i]) - want); !(diff <= 1e-35 || diff <= 1e-6*math.Abs(want)) {
						t.Fatalf("silu(%g)*%g is %g, want %g", g, up[i], gate[i], want)
					}
				}
			}
		}
		gate := []float32{float32(math.NaN()), 1, 2, 3, 4, 5, 6, 7, 8}
		if SiLU(gate, make([]float32, 9)); gate[0] == gate[0] || gate[1] != 0 {
			t.Errorf("NaN became %v, and 1*0 %v", gate[0], gate[1])
		}
	})
}

func FuzzDot(f *testing.F) {
	for _, n := range []int{0, 1, 7, 8, 9, 64, 100} {
		f.Add(uint64(n), n)
	}
	f.Fuzz(func(t *testing.T, seed uint64, n int) {
		if n < 0 || n > 5000 {
			return
		}
		r := rand.New(rand.NewPCG(seed, 1))
		x, y := normal(r, n), normal(r, n)
		size := 0.0
		for i := range x {
			size += math.Abs(float64(x[i]) * float64(y[i]))
		}
		want := float64(dotGeneric(x, y))
		if got := float64(Dot(x, y)); !(math.Abs(got-want) <= 2e-6*float64(n)*size) {
			t.Fatalf("n %d: %s gives %g, the portable form %g", n, Implementation(), got, want)
		}
	})
}

func BenchmarkMatMul(b *testing.B) {
	for _, tokens := range []int{1, 48, 512} {
		for _, name := range Implementations() {
			b.Run(fmt.Sprintf("tokens=%d/impl=%s", tokens, name), func(b *testing.B) {
				restore, _ := Use(name)
				defer restore()
				const rows, k = 64, 256
				w, x, dst := make([]float32, rows*k), make([]float32, tokens*k), make([]float32, rows*tokens)
				for b.Loop() {
					MatMul(Mat{dst, rows}, Mat{w, k}, Mat{x, k}, rows, tokens, k)
				}
				b.ReportMetric(float64(b.N)*2*rows*k*float64(tokens)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
			})
		}
	}
}

func BenchmarkSoftmax(b *testing.B) {
	for _, name := range Implementations() {
		b.Run("impl="+name, func(b *testing.B) {
			restore, _ := Use(name)
			defer restore()
			x := make([]float32, 512)
			for b.Loop() {
				Softmax(x, 0.1)
			}
		})
	}
}
