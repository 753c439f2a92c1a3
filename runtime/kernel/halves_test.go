package kernel

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/quantize/block"
)

var halfTypes = []gguf.Type{gguf.F16, gguf.BF16}

// halvesOf is n halves, of finite values, and the same as float32.
func halvesOf(r *rand.Rand, typ gguf.Type, n int) ([]byte, []float32) {
	data, values := make([]byte, 2*n), make([]float32, n)
	for i := range n {
		v := float32(r.NormFloat64())
		bits := uint16(math.Float32bits(v) >> 16)
		if typ == gguf.F16 {
			bits = block.F32ToF16(v)
		}
		binary.LittleEndian.PutUint16(data[2*i:], bits)
	}
	for i := range values {
		values[i] = Halves{Data: data, Type: typ}.at(i)
	}
	return data, values
}

// checkHalves holds MatMulHalves against MatMul in the same form, bit for bit.
func checkHalves(t *testing.T, r *rand.Rand, typ gguf.Type, rows, tokens, k int) {
	t.Helper()
	stride := k + r.IntN(3)
	data, values := halvesOf(r, typ, max(0, rows-1)*stride+k)
	x := Mat{normal(r, tokens*k), k}
	want := make([]float32, rows*tokens)
	got, check := guarded(rows * tokens)
	MatMul(Mat{want, rows}, Mat{values, stride}, x, rows, tokens, k)
	MatMulHalves(Mat{got, rows}, Halves{Data: data, Stride: stride, Type: typ}, x, rows, tokens, k)
	check(t)
	for i := range want {
		if got[i] != want[i] && !(k < 8 && math.Abs(float64(got[i]-want[i])) < 1e-5) { // short rows are computed without FMA
			t.Fatalf("%v, %d rows, %d tokens, k %d: element %d is %v, want %v", typ, rows, tokens, k, i, got[i], want[i])
		}
	}
}

func TestMatMulHalves(t *testing.T) {
	eachImpl(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(1, 2))
		for _, typ := range halfTypes {
			for k := range 42 {
				checkHalves(t, r, typ, 1+r.IntN(9), 1+r.IntN(8), k)
			}
			checkHalves(t, r, typ, 11, 13, 1003)
		}
	})
}

// TestMatMulHalvesSteps: rows whose eights lie side by side have the products of rows without gaps.
func TestMatMulHalvesSteps(t *testing.T) {
	eachImpl(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(3, 4))
		for _, typ := range halfTypes {
			for _, size := range [][3]int{{1, 1, 8}, {7, 1, 24}, {16, 5, 64}, {9, 4, 40}, {6, 2, 13}} {
				rows, tokens, k := size[0], size[1], size[2]
				data, _ := halvesOf(r, typ, rows*k)
				w := Halves{Data: data, Stride: k, Type: typ}
				side := Halves{Data: make([]byte, 2*rows*(k+7)), Stride: 8, Type: typ, Step: 8 * rows}
				for i := range rows * k {
					copy(side.Data[2*side.place(i/k, i%k):][:2], data[2*i:])
				}
				x := Mat{normal(r, tokens*k), k}
				want := make([]float32, rows*tokens)
				got, check := guarded(rows * tokens)
				MatMulHalves(Mat{want, rows}, w, x, rows, tokens, k)
				MatMulHalves(Mat{got, rows}, side, x, rows, tokens, k)
				check(t)
				for i := range want {
					if got[i] != want[i] && !(k%8 > 0 && math.Abs(float64(got[i]-want[i])) < 1e-5) { // without FMA
						t.Fatalf("%v, %v: element %d is %v, want %v", typ, size, i, got[i], want[i])
					}
				}
			}
		}
	})
}

func FuzzMatMulHalves(f *testing.F) {
	f.Add(uint64(1), uint8(3), uint8(2), uint16(77))
	f.Fuzz(func(t *testing.T, seed uint64, rows, tokens uint8, k uint16) {
		r := rand.New(rand.NewPCG(seed, 1))
		for _, typ := range halfTypes {
			checkHalves(t, r, typ, int(rows%20), int(tokens%20), int(k%2000))
		}
	})
}

func BenchmarkMatMulHalves(b *testing.B) {
	for _, typ := range halfTypes {
		for _, tokens := range []int{1, 48} {
			for _, name := range Implementations() {
				b.Run(fmt.Sprintf("type=%v/tokens=%d/impl=%s", typ, tokens, name), func(b *testing.B) {
					restore, _ := Use(name)
					defer restore()
					const rows, k = 64, 1024
					data, _ := halvesOf(rand.New(rand.NewPCG(1, 1)), typ, rows*k)
					x, dst := make([]float32, tokens*k), make([]float32, rows*tokens)
					for b.Loop() {
						MatMulHalves(Mat{dst, rows}, Halves{Data: data, Stride: k, Type: typ}, Mat{x, k}, rows, tokens, k)
					}
					b.SetBytes(int64(len(data)))
				})
			}
		}
	}
}
