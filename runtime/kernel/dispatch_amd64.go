//go:build amd64 && !purego

package kernel

import "golang.org/x/sys/cpu"

var (
	haveAVX2   = cpu.X86.HasAVX2 && cpu.X86.HasFMA
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

func matMul(dst, w, x Mat, rows, tokens, k int) {
	if !useAVX2 {
		matMulGeneric(dst, w, x, rows, tokens, k)
		return
	}
	block := max(3, blockElements/k/3*3)
	for t0 := 0; t0 < tokens; t0 += block {
		n := min(block, tokens-t0)
		d, xs := dst.From(t0), x.From(t0)
		r := 0
		for ; r+4 <= rows; r += 4 {
			rowsOf4(d.Data[r:], d.Stride, w.From(r), xs, n, k)
		}
		for ; r < rows; r++ {
			for t := range n {
				tile1x1AVX2(&d.Data[t*d.Stride+r], &w.Data[r*w.Stride], &xs.Data[t*xs.Stride], d.Stride, w.Stride, xs.Stride, k)
			}
		}
	}
}

// rowsOf4 multiplies four rows of w with n rows of x.
func rowsOf4(dst []float32, ldd int, w, x Mat, n, k int) {
	t := 0
	for ; t+3 <= n; t += 3 {
		tile4x3AVX2(&dst[t*ldd], &w.Data[0], &x.Data[t*x.Stride], ldd, w.Stride, x.Stride, k)
	}
	for ; t < n; t++ {
		tile4x1AVX2(&dst[t*ldd], &w.Data[0], &x.Data[t*x.Stride], ldd, w.Stride, x.Stride, k)
	}
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
