//go:build amd64 && !purego

package kernel

import "github.com/moeconv/moeconv/gguf"

// unpackersAVX512 take whole groups apart.
var unpackersAVX512 = map[gguf.Type]func(dst *uint8, src *byte, groups int){
	gguf.Q8_0: unpackQ8_0AVX512,
	gguf.Q4_K: unpackQ4_KAVX512,
	gguf.Q6_K: unpackQ6_KAVX512,
}

func haveUnpacker(t gguf.Type) bool { return useAVX512 && unpackersAVX512[t] != nil }
