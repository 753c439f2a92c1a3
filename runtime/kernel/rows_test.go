package kernel

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/quantize/block"
)

// TestSumRows: sums of encoded rows have the bits of MatMul with the decoded rows as columns, in every form.
func TestSumRows(t *testing.T) {
	c, _ := block.For(gguf.Q8_0)
	eachImpl(t, func(t *testing.T) {
		for _, dim := range []int{32, 64, 96, 128, 256} {
			for _, n := range []int{0, 1, 7, 8, 9, 127, 128, 300} {
				r := rand.New(rand.NewPCG(uint64(dim), uint64(n)))
				const gap = 6
				size := dim / 32 * 34
				values := normal(r, n*dim)
				rows, decoded := make([]byte, max(0, n*(size+gap)-gap)), make([]float32, dim)
				columns := make([]float32, dim*n)
				for i := range n {
					row := rows[i*(size+gap):][:size]
					if err := c.Encode(row, values[i*dim:][:dim], nil); err != nil {
						t.Fatal(err)
					}
					c.Decode(decoded, row)
					for e, v := range decoded {
						columns[e*n+i] = v
					}
				}
				weights := normal(r, n)
				for i := range weights {
					if i%5 == 0 {
						weights[i] = 0
					}
				}
				want, got := make([]float32, dim), make([]float32, dim+1)
				got[dim] = 77
				MatMul(Mat{want, dim}, Mat{columns, n}, Mat{weights, n}, dim, 1, n)
				var s Scratch
				for range 2 { // the second time with what the first has left
					SumRows(got[:dim], rows, size+gap, weights, &s)
				}
				for e, w := range want {
					if math.Float32bits(got[e]) != math.Float32bits(w) {
						t.Fatalf("%d rows of %d: element %d is %v, want %v", n, dim, e, got[e], w)
					}
				}
				if got[dim] != 77 {
					t.Fatal("written behind the end")
				}
			}
		}
	})
}

func TestSumRowsPanics(t *testing.T) {
	for _, f := range []func(s *Scratch){
		func(s *Scratch) { SumRows(make([]float32, 31), make([]byte, 99), 34, make([]float32, 1), s) },
		func(s *Scratch) { SumRows(make([]float32, 32), make([]byte, 67), 34, make([]float32, 2), s) },
		func(s *Scratch) { SumRows(make([]float32, 64), make([]byte, 999), 34, make([]float32, 2), s) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			f(&Scratch{})
		}()
	}
}
