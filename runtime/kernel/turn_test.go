package kernel

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/moeconv/moeconv/quantize/block"
)

// TestTurn: rows become columns, of floats and of halves, in every form and shape, and nothing else is written.
func TestTurn(t *testing.T) {
	eachImpl(t, func(t *testing.T) {
		for _, dim := range []int{0, 1, 7, 8, 9, 64, 77} {
			for _, n := range []int{0, 1, 15, 16, 17, 40} {
				r := rand.New(rand.NewPCG(uint64(dim), uint64(n)))
				const gap = 3
				width, height := n+gap, dim
				x := normal(r, max(0, n*(dim+gap)))
				halves := make([]byte, 2*len(x))
				for i, v := range x {
					h := block.F32ToF16(v)
					binary.LittleEndian.PutUint16(halves[2*i:], h)
					x[i] = block.F16ToF32(h)
				}
				want := slices.Repeat([]float32{77}, width*height)
				for i := range n {
					for e := range dim {
						want[e*width+i] = x[i*(dim+gap)+e]
					}
				}
				for name, turn := range map[string]func(dst Mat){
					"floats": func(dst Mat) { Turn(dst, Mat{x, dim + gap}, n, dim) },
					"halves": func(dst Mat) { TurnF16(dst, halves, 2*(dim+gap), n, dim) },
				} {
					got := slices.Repeat([]float32{77}, width*height)
					if turn(Mat{got, width}); !slices.Equal(got, want) {
						t.Fatalf("%s: %d rows of %d", name, n, dim)
					}
				}
			}
		}
	})
}
