package block

import "github.com/moeconv/moeconv/gguf"

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
		dst[i] = F16ToF32(load16(src[2*i : 2*i+2]))
	}
}
