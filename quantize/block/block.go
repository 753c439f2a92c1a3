// Package block holds the codecs of the ggml types, one file a type. Portable Go
// is the specification: the same float32 operations in the same order as ggml's
// reference quantizers, every product written float32(x*y) so that no compiler
// fuses it into an addition. Assembly must equal it bit for bit.
package block

import (
	"fmt"

	"github.com/moeconv/moeconv/gguf"
)

// Codec encodes and decodes rows of one type. Rows are whole quantization blocks.
type Codec struct {
	Type gguf.Type
	// Encode writes the encoded form of src to dst. importance, of src's length or nil, weighs the error of each
	// column. It fails when a value or a block scale would not be finite.
	Encode func(dst []byte, src, importance []float32) error
	// Decode writes the len(dst) values encoded in src.
	Decode func(dst []float32, src []byte)
	// Validate fails on scales that are not finite, as ggml_validate_row_data does; nil where any bytes are valid.
	Validate func(src []byte) error
	// NeedsImportance: the reference refuses to encode this type without an importance matrix.
	NeedsImportance bool
}

var codecs = map[gguf.Type]Codec{}

func register(c Codec) {
	if _, ok := codecs[c.Type]; ok {
		panic(fmt.Sprintf("block: %v registered twice", c.Type))
	}
	codecs[c.Type] = c
}

// For finds the codec of a type.
func For(t gguf.Type) (Codec, bool) {
	c, ok := codecs[t]
	return c, ok
}
