//go:build amd64 && !purego

package block

import (
	"unsafe"

	"github.com/moeconv/moeconv/gguf"
)

func init() {
	accelerate(gguf.F32, avx2, kernels{
		encode: func(dst []byte, src, _ []float32) error { copy(dst, bytesOf(src)); return nil },
		decode: func(dst []float32, src []byte) { copy(bytesOf(dst), src) },
		validate: func(src []byte) error {
			if len(src) < 4 {
				return validateF32(src)
			}
			whole := unsafe.Slice((*float32)(unsafe.Pointer(unsafe.SliceData(src))), len(src)/4)
			if i := notFinite(whole); i >= 0 {
				return &ScaleError{Type: gguf.F32, Block: i, Value: whole[i]}
			}
			return validateF32(src[4*len(whole):])
		},
	})
}

// bytesOf are the bytes of floats, which this CPU has in the file's order.
func bytesOf(f []float32) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(f))), 4*len(f))
}
