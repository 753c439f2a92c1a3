package convert

import (
	"encoding/binary"
	"math"

	"github.com/moeconv/moeconv/convert/safetensors"
	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/quantize/block"
)

// decoder reads rows of one source encoding.
type decoder struct {
	same   gguf.Type                       // the type whose bytes are the same
	decode func(dst []float32, src []byte) // len(dst) values
}

// decoders lists the source encodings that can be read.
var decoders = map[safetensors.DType]decoder{
	"F32":  {gguf.F32, decodeF32},
	"F16":  {gguf.F16, decodeF16},
	"BF16": {gguf.BF16, decodeBF16},
}

func decodeF32(dst []float32, src []byte) {
	for i := range dst {
		dst[i] = math.Float32frombits(binary.LittleEndian.Uint32(src[4*i:]))
	}
}

func decodeF16(dst []float32, src []byte) {
	for i := range dst {
		dst[i] = block.F16ToF32(binary.LittleEndian.Uint16(src[2*i:]))
	}
}

func decodeBF16(dst []float32, src []byte) {
	for i := range dst {
		dst[i] = math.Float32frombits(uint32(binary.LittleEndian.Uint16(src[2*i:])) << 16)
	}
}
