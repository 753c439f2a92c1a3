//go:build amd64 && !purego

package block

import "github.com/moeconv/moeconv/gguf"

//go:generate go -C _asm run . -gen blocks32 -out ../blocks32_amd64.s -stubs ../blocks32_stubs_amd64.go -pkg block

func init() {
	const wide, narrow = 16, 8 // blocks at a time
	accelerate(gguf.Q8_0, avx512, kernels{encode: batch{gguf.Q8_0, wide}.encode(encodeQ8_0AVX512)})
	accelerate(gguf.Q8_0, avx2, kernels{encode: batch{gguf.Q8_0, narrow}.encode(encodeQ8_0AVX2)})
	accelerate(gguf.Q4_0, avx512, kernels{encode: withRows(gguf.Q4_0, avx512, batch{gguf.Q4_0, wide}.encode(encodeQ4_0AVX512))})
	accelerate(gguf.Q4_0, avx2, kernels{encode: withRows(gguf.Q4_0, avx2, batch{gguf.Q4_0, narrow}.encode(encodeQ4_0AVX2))})
	accelerate(gguf.Q4_1, avx512, kernels{encode: withRows(gguf.Q4_1, avx512, batch{gguf.Q4_1, wide}.encode(encodeQ4_1AVX512))})
	accelerate(gguf.Q4_1, avx2, kernels{encode: withRows(gguf.Q4_1, avx2, batch{gguf.Q4_1, narrow}.encode(encodeQ4_1AVX2))})
	accelerate(gguf.Q5_0, avx512, kernels{encode: withRows(gguf.Q5_0, avx512, batch{gguf.Q5_0, wide}.encode(encodeQ5_0AVX512))})
	accelerate(gguf.Q5_0, avx2, kernels{encode: withRows(gguf.Q5_0, avx2, batch{gguf.Q5_0, narrow}.encode(encodeQ5_0AVX2))})
	accelerate(gguf.Q5_1, avx512, kernels{encode: withRows(gguf.Q5_1, avx512, batch{gguf.Q5_1, wide}.encode(encodeQ5_1AVX512))})
	accelerate(gguf.Q5_1, avx2, kernels{encode: withRows(gguf.Q5_1, avx2, batch{gguf.Q5_1, narrow}.encode(encodeQ5_1AVX2))})
}

// withRows leaves rows with importance to the kernel of such rows.
func withRows(t gguf.Type, f form, plain func(dst []byte, src, _ []float32) error) func(dst []byte, src, importance []float32) error {
	return func(dst []byte, src, importance []float32) error {
		if importance != nil {
			return codecs[t].kernels[f].rows(dst, src, len(src), importance)
		}
		return plain(dst, src, nil)
	}
}
