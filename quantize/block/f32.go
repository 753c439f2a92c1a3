package block

import (
	"fmt"
	"math"

	"github.com/moeconv/moeconv/gguf"
)

func init() {
	register(Codec{Type: gguf.F32, Encode: encodeF32, Decode: decodeF32, Validate: validateF32})
}

// encodeF32 writes the values as they are, little-endian.
func encodeF32(dst []byte, src, _ []float32) error {
	for i, v := range src {
		store32(dst[4*i:4*i+4], math.Float32bits(v))
	}
	return nil
}

func decodeF32(dst []float32, src []byte) {
	for i := range dst {
		dst[i] = math.Float32frombits(load32(src[4*i : 4*i+4]))
	}
}

func validateF32(src []byte) error {
	if len(src)%4 != 0 {
		return fmt.Errorf("block: F32: %d bytes are not whole values of 4", len(src))
	}
	for i := 0; i < len(src); i += 4 {
		if b := load32(src[i : i+4]); b&0x7f800000 == 0x7f800000 {
			return &ScaleError{Type: gguf.F32, Block: i / 4, Value: math.Float32frombits(b)}
		}
	}
	return nil
}
