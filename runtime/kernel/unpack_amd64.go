//go:build amd64 && !purego

package kernel

import "github.com/moeconv/moeconv/gguf"

// unpackersAVX512 take whole groups apart.
var unpackersAVX512 = map[gguf.Type]func(dst *uint8, src *byte, groups int){
	gguf.Q8_0:   unpackQ8_0AVX512,
	gguf.Q4_0:   unpackQ4_0AVX512,
	gguf.Q4_1:   unpackQ4_1AVX512,
	gguf.Q5_0:   unpackQ5_0AVX512,
	gguf.Q5_1:   unpackQ5_1AVX512,
	gguf.IQ4_NL: unpackIQ4_NLAVX512,
	gguf.MXFP4:  unpackMXFP4AVX512,
	gguf.Q2_K:   unpackQ2_KAVX512,
	gguf.Q3_K:   unpackQ3_KAVX512,
	gguf.Q4_K:   unpackQ4_KAVX512,
	gguf.Q5_K:   unpackQ5_KAVX512,
	gguf.Q6_K:   unpackQ6_KAVX512,
	gguf.IQ4_XS: unpackIQ4_XSAVX512,
}

func haveUnpacker(t gguf.Type) bool { return useAVX512 && unpackersAVX512[t] != nil }

// dotsAVX512 multiply whole groups with one token.
var dotsAVX512 = map[gguf.Type]func(dst *float32, src *byte, x *int8, rows, groups int){
	gguf.Q8_0:   dotsQ8_0AVX512,
	gguf.Q4_0:   dotsQ4_0AVX512,
	gguf.Q4_1:   dotsQ4_1AVX512,
	gguf.Q5_0:   dotsQ5_0AVX512,
	gguf.Q5_1:   dotsQ5_1AVX512,
	gguf.IQ4_NL: dotsIQ4_NLAVX512,
	gguf.MXFP4:  dotsMXFP4AVX512,
	gguf.Q2_K:   dotsQ2_KAVX512,
	gguf.Q3_K:   dotsQ3_KAVX512,
	gguf.Q4_K:   dotsQ4_KAVX512,
	gguf.Q5_K:   dotsQ5_KAVX512,
	gguf.Q6_K:   dotsQ6_KAVX512,
	gguf.IQ4_XS: dotsIQ4_XSAVX512,
}

// matMulOne multiplies encoded rows with one token without unpacking them to memory, if it can.
func matMulOne(dst []float32, t gguf.Type, w []byte, x Inputs, rows int) (done bool) {
	if !useAVX512 || x.cols%groupLen != 0 {
		return false
	}
	dotsAVX512[t](&dst[0], &w[0], &x.data[0].quants[0][0][0], rows, x.groups)
	return true
}
