//go:build amd64 && !purego

package block

import "github.com/moeconv/moeconv/gguf"

//go:generate go -C _asm run . -gen decode32 -out ../decode32_amd64.s -stubs ../decode32_stubs_amd64.go -pkg block
//go:generate go -C _asm run . -gen decode_k -out ../decode_k_amd64.s -stubs ../decode_k_stubs_amd64.go -pkg block

func init() {
	for _, d := range []struct {
		t            gguf.Type
		blocks       int // at a time
		wide, narrow func(dst *float32, src *byte, groups int) int
	}{
		{gguf.Q8_0, 4, decodeQ8_0AVX512, decodeQ8_0AVX2},
		{gguf.Q4_0, 4, decodeQ4_0AVX512, decodeQ4_0AVX2},
		{gguf.Q4_1, 4, decodeQ4_1AVX512, decodeQ4_1AVX2},
		{gguf.Q5_0, 4, decodeQ5_0AVX512, decodeQ5_0AVX2},
		{gguf.Q5_1, 4, decodeQ5_1AVX512, decodeQ5_1AVX2},
		{gguf.Q2_K, 1, decodeQ2_KAVX512, decodeQ2_KAVX2},
		{gguf.Q3_K, 1, decodeQ3_KAVX512, decodeQ3_KAVX2},
		{gguf.Q4_K, 1, decodeQ4_KAVX512, decodeQ4_KAVX2},
		{gguf.Q5_K, 1, decodeQ5_KAVX512, decodeQ5_KAVX2},
		{gguf.Q6_K, 1, decodeQ6_KAVX512, decodeQ6_KAVX2},
	} {
		b := batch{d.t, d.blocks}
		accelerate(d.t, avx512, kernels{decode: b.decode(d.wide)})
		accelerate(d.t, avx2, kernels{decode: b.decode(d.narrow)})
	}
}
