package block

import (
	"math"

	"github.com/moeconv/moeconv/gguf"
)

func init() {
	register(Codec{Type: gguf.F16, Encode: encodeF16, Decode: decodeF16, Validate: validate16(gguf.F16, 0)})
}

// encodeF16 rounds to halves. Magnitudes from 65520 would be infinite and are refused, as llama-quantize refuses them.
func encodeF16(dst []byte, src, _ []float32) error {
	for i, v := range src {
		h := F32ToF16(v)
		if !finite16(h) {
			return &ValueError{Type: gguf.F16, Column: i, Value: v}
		}
		store16(dst[2*i:2*i+2], h)
	}
	return nil
}

func decodeF16(dst []float32, src []byte) {
	for i := range dst {
		h := uint32(load16(src[2*i : 2*i+2]))
		if m := h & 0x7fff; m-0x400 < 0x7c00-0x400 { // normal, as nearly all weights are: F16ToF32 without the call
			dst[i] = math.Float32frombits(h&0x8000<<16 | (m<<13 + 0x38000000))
			continue
		}
		dst[i] = F16ToF32(uint16(h))
	}
}
