//go:build amd64 && !purego

package block

import "github.com/moeconv/moeconv/gguf"

//go:generate go -C _asm run . -gen low_bits -out ../low_bits_amd64.s -stubs ../low_bits_stubs_amd64.go -pkg block

func init() {
	q1, q2, tq1, tq2 := batch{gguf.Q1_0, 1}, batch{gguf.Q2_0, 1}, batch{gguf.TQ1_0, 1}, batch{gguf.TQ2_0, 1}
	accelerate(gguf.Q1_0, avx512, kernels{encode: batch{gguf.Q1_0, 16}.encode(encodeQ1_0AVX512), decode: q1.decode(decodeQ1_0AVX512)})
	accelerate(gguf.Q1_0, avx2, kernels{encode: batch{gguf.Q1_0, 8}.encode(encodeQ1_0AVX2), decode: q1.decode(decodeQ1_0AVX2)})
	accelerate(gguf.Q2_0, avx512, kernels{encode: batch{gguf.Q2_0, 16}.encode(encodeQ2_0AVX512), decode: q2.decode(decodeQ2_0AVX512)})
	accelerate(gguf.Q2_0, avx2, kernels{encode: batch{gguf.Q2_0, 8}.encode(encodeQ2_0AVX2), decode: q2.decode(decodeQ2_0AVX2)})
	accelerate(gguf.TQ1_0, avx512, kernels{encode: tq1.encode(encodeTQ1_0AVX512), decode: tq1.decode(decodeTQ1_0AVX512)})
	accelerate(gguf.TQ1_0, avx2, kernels{encode: tq1.encode(encodeTQ1_0AVX2), decode: tq1.decode(decodeTQ1_0AVX2)})
	accelerate(gguf.TQ2_0, avx512, kernels{encode: tq2.encode(encodeTQ2_0AVX512), decode: tq2.decode(decodeTQ2_0AVX512)})
	accelerate(gguf.TQ2_0, avx2, kernels{encode: tq2.encode(encodeTQ2_0AVX2), decode: tq2.decode(decodeTQ2_0AVX2)})
}
