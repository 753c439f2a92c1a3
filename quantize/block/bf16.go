package block

import (
	"fmt"

	"github.com/moeconv/moeconv/gguf"
)

func init() {
	register(Codec{Type: gguf.BF16, Encode: encodeBF16, Decode: decodeBF16, Validate: validateBF16})
}

// encodeBF16 rounds to bfloat16. Magnitudes that round up to Inf, above 3.3895e38, are refused.
func encodeBF16(dst []byte, src, _ []float32) error {
	for i, v := range src {
		h := F32ToBF16(v)
		if h&0x7f80 == 0x7f80 {
			return &ValueError{Type: gguf.BF16, Column: i, Value: v}
		}
		store16(dst[2*i:2*i+2], h)
	}
	return nil
}

func decodeBF16(dst []float32, src []byte) {
	for i := range dst {
		dst[i] = BF16ToF32(load16(src[2*i : 2*i+2]))
	}
}

func validateBF16(src []byte) error {
	if len(src)%2 != 0 {
		return fmt.Errorf("block: BF16: %d bytes are not whole values of 2", len(src))
	}
	for i := 0; i < len(src); i += 2 {
		if h := load16(src[i : i+2]); h&0x7f80 == 0x7f80 {
			return &ScaleError{Type: gguf.BF16, Block: i / 2, Value: BF16ToF32(h)}
		}
	}
	return nil
}
