//go:build amd64 && !purego

package block

import (
	"errors"

	"github.com/moeconv/moeconv/gguf"
)

//go:generate go -C _asm run . -gen floats -out ../floats_amd64.s -stubs ../floats_stubs_amd64.go -pkg block

func init() {
	f16, bf16 := batch{gguf.F16, 64}, batch{gguf.BF16, 64}
	accelerate(gguf.F16, avx512, kernels{encode: f16.encode(encodeF16AVX512), decode: f16.decode(decodeF16AVX512), validate: validateFloats(gguf.F16, 0x7c00, finite16AVX512)})
	accelerate(gguf.F16, avx2, kernels{encode: f16.encode(encodeF16AVX2), decode: f16.decode(decodeF16AVX2), validate: validateFloats(gguf.F16, 0x7c00, finite16AVX2)})
	accelerate(gguf.BF16, avx512, kernels{encode: bf16.encode(encodeBF16AVX512), decode: bf16.decode(decodeBF16AVX512), validate: validateFloats(gguf.BF16, 0x7f80, finite16AVX512)})
	accelerate(gguf.BF16, avx2, kernels{encode: bf16.encode(encodeBF16AVX2), decode: bf16.decode(decodeBF16AVX2), validate: validateFloats(gguf.BF16, 0x7f80, finite16AVX2)})
}

// validateFloats leaves to the portable form what comes behind the last group of 256 floats that are all finite.
func validateFloats(t gguf.Type, exponent uint16, kernel func(src *byte, exponent uint16, groups int) int) func([]byte) error {
	const groupBytes = 512
	return func(src []byte) error {
		done := 0
		if groups := len(src) / groupBytes; groups > 0 {
			done = kernel(&src[0], exponent, groups)
		}
		err := codecs[t].Validate(src[done*groupBytes:])
		if se := (*ScaleError)(nil); errors.As(err, &se) {
			se.Block += done * groupBytes / 2
		}
		return err
	}
}
