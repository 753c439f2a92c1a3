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
