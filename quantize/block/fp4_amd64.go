//go:build amd64 && !purego

package block

import "github.com/moeconv/moeconv/gguf"

//go:generate go -C _asm run . -gen fp4 -out ../fp4_amd64.s -stubs ../fp4_stubs_amd64.go -pkg block

func init() {
	accelerate(gguf.MXFP4, avx512, kernels{encode: batch{gguf.MXFP4, 16}.encode(encodeMXFP4AVX512), decode: batch{gguf.MXFP4, 8}.decode(decodeMXFP4AVX512)})
	accelerate(gguf.MXFP4, avx2, kernels{encode: batch{gguf.MXFP4, 8}.encode(encodeMXFP4AVX2), decode: batch{gguf.MXFP4, 8}.decode(decodeMXFP4AVX2)})
	accelerate(gguf.NVFP4, avx512, kernels{encode: batch{gguf.NVFP4, 4}.encode(encodeNVFP4AVX512), decode: batch{gguf.NVFP4, 2}.decode(decodeNVFP4AVX512)})
	accelerate(gguf.NVFP4, avx2, kernels{encode: batch{gguf.NVFP4, 2}.encode(encodeNVFP4AVX2), decode: batch{gguf.NVFP4, 2}.decode(decodeNVFP4AVX2)})
}
