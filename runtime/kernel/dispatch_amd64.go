//go:build amd64 && !purego

package kernel

import (
	"golang.org/x/sys/cpu"

	"github.com/moeconv/moeconv/gguf"
)

var (
	haveAVX2   = cpu.X86.HasAVX2 && cpu.X86.HasFMA // and so F16C, which came before
	haveAVX512 = haveAVX2 && cpu.X86.HasAVX512F && cpu.X86.HasAVX512BW && cpu.X86.HasAVX512DQ && cpu.X86.HasAVX512VL &&
		cpu.X86.HasAVX512VBMI && cpu.X86.HasAVX512VNNI
)

// useAVX2 and useAVX512 are set once at start, and by Use.
var useAVX2, useAVX512 = haveAVX2, haveAVX512

func implementations() []impl {
	set := func(avx2, avx512 bool) func() { return func() { useAVX2, useAVX512 = avx2, avx512 } }
	return []impl{{"generic", true, set(false, false)}, {"avx2", haveAVX2, set(true, false)}, {"avx512", haveAVX512, set(true, true)}}
}

// Implementation is the name of the form in use: generic, avx2, or avx512 with VNNI.
func Implementation() string {
	switch {
	case useAVX512:
		return "avx512"
	case useAVX2:
		return "avx2"
	}
	return "generic"
}

// tiles are the products of four rows and three, four rows and one, and one row and one.
type tiles[E any] struct {
	of4x3, of4x1, of1x1 func(dst *float32, w *E, x *float32, ldd, ldw, ldx, k, step int)
}

func matMul(dst, w, x Mat, rows, tokens, k int) {
	if !useAVX2 {
		matMulGeneric(dst, w, x, rows, tokens, k)
		return
	}
	tiles[float32]{tile4x3AVX2, tile4x1AVX2, tile1x1AVX2}.multiply(dst, w.Data, w.Stride, w.Stride, 32, x, rows, tokens, k)
}

func matMulHalves(dst Mat, w Halves, x Mat, rows, tokens, k int) {
	switch {
	case !useAVX2 || k < 8 || k%8 > 0 && w.step() != 8:
		matMulHalvesGeneric(dst, w, x, rows, tokens, k)
	case w.Type == gguf.BF16:
		tiles[byte]{tileBF164x3AVX2, tileBF164x1AVX2, tileBF161x1AVX2}.multiply(dst, w.Data, 2*w.Stride, w.Stride, 2*w.step(), x, rows, tokens, k)
	default:
		tiles[byte]{tileF164x3AVX2, tileF164x1AVX2, tileF161x1AVX2}.multiply(dst, w.Data, 2*w.Stride, w.Stride, 2*w.step(), x, rows, tokens, k)
	}
}

// multiply is MatMul with rows that are ldw elements and places places of w apart, and eights of elements that are step bytes.
func (f tiles[E]) multiply(dst Mat, w []E, places, ldw, step int, x Mat, rows, tokens, k int) {
	if tokens == 1 {
		f.one(dst.Data, w, places, ldw, step, x.Data, rows, k)
		return
	}
	block := max(3, blockElements/k/3*3)
	for t0 := 0; t0 < tokens; t0 += block {
		n := min(block, tokens-t0)
		d, xs := dst.From(t0), x.From(t0)
		r := 0
		for ; r+4 <= rows; r += 4 {
			t := 0
			for ; t+3 <= n; t += 3 {
				f.of4x3(&d.Data[t*d.Stride+r], &w[r*places], &xs.Data[t*xs.Stride], d.Stride, ldw, xs.Stride, k, step)
			}
			for ; t < n; t++ {
				f.of4x1(&d.Data[t*d.Stride+r], &w[r*places], &xs.Data[t*xs.Stride], d.Stride, ldw, xs.Stride, k, step)
			}
		}
		for ; r < rows; r++ {
			for t := range n {
				f.of1x1(&d.Data[t*d.Stride+r], &w[r*places], &xs.Data[t*xs.Stride], d.Stride, ldw, xs.Stride, k, step)
			}
		}
	}
}

// one is multiply for one token. Memory is read fastest in long runs, so the four rows that are multiplied together
// come from the four quarters of w, where rows are such runs.
func (f tiles[E]) one(dst []float32, w []E, places, ldw, step int, x []float32, rows, k int) {
	n := rows / 4
	if ldw < k {
		for r := range n {
			f.of4x1(&dst[4*r], &w[4*r*places], &x[0], 0, ldw, 0, k, step)
		}
		n = 0
		dst, w, rows = dst[rows&^3:], w[rows&^3*places:], rows&3
	}
	sums := make([]float32, 4)
	for r := range n {
		f.of4x1(&sums[0], &w[r*places], &x[0], 0, n*ldw, 0, k, step)
		for i, v := range sums {
			dst[i*n+r] = v
		}
	}
	for r := 4 * n; r < rows; r++ {
		f.of1x1(&dst[r], &w[r*places], &x[0], 0, ldw, 0, k, step)
	}
}

// turnRows are made columns together: a line of memory.
const turnRows = 16

// turn does Turn's work for rows and columns.
func turn(dst, x Mat, n, dim int) (rows, cols int) {
	if !useAVX2 || dim < 8 {
		return 0, 0
	}
	for ; rows+turnRows <= n; rows += turnRows {
		turnAVX2(&dst.Data[rows], &x.Data[rows*x.Stride], dst.Stride, 4*x.Stride, dim/8)
	}
	return rows, dim &^ 7
}

func turnF16(dst Mat, x []byte, stride, n, dim int) (rows, cols int) {
	if !useAVX2 || dim < 8 {
		return 0, 0
	}
	for ; rows+turnRows <= n; rows += turnRows {
		turnF16AVX2(&dst.Data[rows], &x[rows*stride], dst.Stride, stride, dim/8)
	}
	return rows, dim &^ 7
}

func expSum(x []float32, scale, top float32) float64 {
	if !useAVX2 {
		return expSumGeneric(x, scale, top)
	}
	return expSumAVX2(&x[0], len(x), scale, top)
}

func silu(gate, up []float32) {
	if !useAVX2 {
		siluGeneric(gate, up)
		return
	}
	siluAVX2(&gate[0], &up[0], len(gate))
}
