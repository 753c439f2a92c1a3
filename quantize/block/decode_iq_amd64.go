//go:build amd64 && !purego

package block

import (
	"sync"

	"github.com/moeconv/moeconv/gguf"
)

//go:generate go -C _asm run . -gen decode_iq -out ../decode_iq_amd64.s -stubs ../decode_iq_stubs_amd64.go -pkg block

func init() {
	for _, d := range []struct {
		t            gguf.Type
		words        func() []uint32
		wide, narrow func(dst *float32, src *byte, words *uint32, groups int) int
	}{
		{gguf.IQ1_S, digitsIQ1, decodeIQ1_SAVX512, decodeIQ1_SAVX2},
		{gguf.IQ1_M, digitsIQ1, decodeIQ1_MAVX512, decodeIQ1_MAVX2},
		{gguf.IQ2_XXS, digitsOf8(gridIQ2_XXS), decodeIQ2_XXSAVX512, decodeIQ2_XXSAVX2},
		{gguf.IQ2_XS, digitsOf8(gridIQ2_XS), decodeIQ2_XSAVX512, decodeIQ2_XSAVX2},
		{gguf.IQ2_S, digitsOf8(gridIQ2_S), decodeIQ2_SAVX512, decodeIQ2_SAVX2},
		{gguf.IQ3_XXS, digitsOf4(latticeIQ3_XXS), decodeIQ3_XXSAVX512, decodeIQ3_XXSAVX2},
		{gguf.IQ3_S, digitsOf4(latticeIQ3_S), decodeIQ3_SAVX512, decodeIQ3_SAVX2},
	} {
		with := func(kernel func(dst *float32, src *byte, words *uint32, groups int) int) kernels {
			return kernels{decode: batch{d.t, 1}.decode(func(dst *float32, src *byte, groups int) int {
				return kernel(dst, src, &d.words()[0], groups)
			})}
		}
		accelerate(d.t, avx512, with(d.wide))
		accelerate(d.t, avx2, with(d.narrow))
	}
}

// digitsOf8 are the digits of a grid's points by position, four bits each.
func digitsOf8(grid func() *grid8) func() []uint32 {
	return sync.OnceValue(func() []uint32 {
		var words []uint32
		for _, digits := range grid().digits {
			var w uint32
			for i, d := range digits {
				w |= uint32(d) << (4 * i)
			}
			words = append(words, w)
		}
		return words
	})
}

// digitsIQ1 are the points, then the same with digits of 4 more, for values that are shifted down.
var digitsIQ1 = sync.OnceValue(func() []uint32 {
	words := digitsOf8(gridIQ1)()
	for _, w := range words {
		words = append(words, w|0x44444444)
	}
	return words
})

// digitsOf4 are the levels of a lattice's points by rank, four bits each.
func digitsOf4(lattice func() *lattice3) func() []uint32 {
	return sync.OnceValue(func() []uint32 {
		var words []uint32
		for _, p := range lattice().points {
			p := uint32(p)
			words = append(words, p&7|p>>3&7<<4|p>>6&7<<8|p>>9&7<<12)
		}
		return words
	})
}
