//go:build amd64 && !purego

package block

import (
	"testing"
	"unsafe"

	"github.com/moeconv/moeconv/gguf"
)

// TestMinFlags: groups whose roundings leave the exact range are left to the portable form, and no others.
func TestMinFlags(t *testing.T) {
	x := generate("flags", 8*len256, 8*len256, rowGenerators["normal"])
	for _, g := range []int{0, 5, 16, 70, 127} {
		copy(x[16*g:16*g+16], generate("flags", 16, 16, rowGenerators["subnormal"]))
	}
	c := minCodec{t: gguf.Q2_K, n: 16, plain: plainQ2_K, weighted: weightedQ2_K, scaleTop: 15}
	for _, f := range []minForm{
		{form: avx2, transpose: transposeAVX2, plain: searchPlain16AVX2, weighted: searchWeighted16AVX2},
		{form: avx512, transpose: transposeAVX512, plain: searchPlain16AVX512, weighted: searchWeighted16AVX512},
	} {
		if f.form > best {
			continue
		}
		s := new(minScratch)
		c.in(f).fit(s, x)
		for b, got := range s.flags {
			if want := map[int]uint8{0: 1 | 1<<5, 2: 1, 8: 1 << 6, 15: 1 << 7}[b]; got != want {
				t.Errorf("%s: groups from %d on have flags %08b, want %08b", formNames[f.form], 8*b, got, want)
			}
		}
	}
}

// TestMinOverflow: a super-block whose weights overflow is refused, whatever its groups are like.
func TestMinOverflow(t *testing.T) {
	src := make([]float32, 8*len256)
	importance := generate("overflow", len(src), len(src), importanceGenerators["random"])
	for i := range 32 {
		src[3*len256+64+i] = 1e20 * float32(i-15)
	}
	eachKernel(t, func(t *testing.T, portable, kernel Codec) {
		sameForms(t, portable, kernel, "overflow", src, importance)
	})
}

// TestMinLayout holds the structures that the kernels of searches work on against the offsets in _asm.
func TestMinLayout(t *testing.T) {
	const row = 4 * 32
	var b searchBuffer
	var f minFits
	var m minTrials
	for name, p := range map[string][2]uintptr{
		"w":        {unsafe.Offsetof(b.w), 32 * row},
		"sigma2":   {unsafe.Offsetof(b.sigma2), 73 * row},
		"half":     {unsafe.Offsetof(b.half), 75 * row},
		"bits":     {unsafe.Offsetof(b.bits), 76 * row},
		"buffer":   {unsafe.Sizeof(b), 126 * row},
		"min":      {unsafe.Offsetof(f.min), 1024},
		"sum":      {unsafe.Offsetof(f.sum), 4 * 1024},
		"d":        {unsafe.Offsetof(f.d), 5 * 1024},
		"flags":    {unsafe.Offsetof(f.flags), 7 * 1024},
		"halves":   {unsafe.Offsetof(f.halves), 7*1024 + 32},
		"rounded":  {unsafe.Offsetof(f.rounded), 8*1024 + 32},
		"steps":    {unsafe.Offsetof(m.steps), 4},
		"inside":   {unsafe.Offsetof(m.inside), 8},
		"inverse":  {unsafe.Offsetof(m.inverse), 12},
		"inverses": {unsafe.Offsetof(scaleTrials{}.inverse), 4},
	} {
		if p[0] != p[1] {
			t.Errorf("%s is at %d, _asm has %d", name, p[0], p[1])
		}
	}
}
