// Package block holds the codecs of the ggml types, one file a type. Portable Go
// is the specification: the same float32 operations in the same order as ggml's
// reference quantizers, every product written float32(x*y) so that no compiler
// fuses it into an addition. Assembly must equal it bit for bit.
//
// Why float stand-ins for small integers: the searches round with the addition of
// 1.5*2^23, and subtracting it again gives the rounded value as an exact float32,
// which spares two conversions per weight. Where an argument could leave the range
// in which that is exact, nearestInt does what the reference's bit mask does.
package block

import (
	"fmt"

	"github.com/moeconv/moeconv/gguf"
)

// Codec encodes and decodes rows of one type. Rows are whole quantization blocks.
type Codec struct {
	Type gguf.Type
	// Encode writes the encoded form of the row src to dst, which has exactly the row's encoded size. importance,
	// of src's length or nil, weighs the error of each column; types that have no use for it ignore it. It fails,
	// with a *ValueError where a value is to blame, when a value or a block scale would not be finite; dst is then
	// partly written.
	Encode func(dst []byte, src, importance []float32) error
	// Decode writes the len(dst) values encoded in src, which has exactly their encoded size.
	Decode func(dst []float32, src []byte)
	// Validate fails on scales that are not finite, as ggml_validate_row_data does; nil where any bytes are valid.
	Validate func(src []byte) error
	// rows, if not nil, is Encode of rows of ne0 under one row's importance.
	rows func(dst []byte, src []float32, ne0 int, importance []float32) error
	// NeedsImportance: the reference refuses to encode this type without an importance matrix.
	NeedsImportance bool
}

var codecs = map[gguf.Type]*codec{}

// register adds a codec. Encode, as registered, may rely on lengths that fit and on finite values and weights.
func register(c Codec) {
	known := codecs[c.Type]
	switch {
	case known == nil:
		known = new(codec)
		codecs[c.Type] = known
	case known.Encode != nil:
		panic(fmt.Sprintf("block: %v registered twice", c.Type))
	}
	c.Encode = checked(c.Type, c.Encode)
	known.Codec = c
}

// checked puts the checks that all types share before a codec's encoder.
func checked(t gguf.Type, encode func(dst []byte, src, importance []float32) error) func([]byte, []float32, []float32) error {
	return func(dst []byte, src, importance []float32) error {
		size, err := t.RowBytes(int64(len(src)))
		if err != nil {
			return fmt.Errorf("block: %v: %w", t, err)
		}
		if int64(len(dst)) != size {
			return fmt.Errorf("block: %v: %d bytes given for a row of %d elements, which takes %d", t, len(dst), len(src), size)
		}
		if importance == nil && len(src) > 0 && codecs[t].NeedsImportance {
			return fmt.Errorf("block: %v: cannot be encoded without importance weights", t)
		}
		if importance != nil && len(importance) != len(src) {
			return fmt.Errorf("block: %v: %d importance weights given for a row of %d elements", t, len(importance), len(src))
		}
		if i := notFinite(src); i >= 0 {
			return &ValueError{Type: t, Column: i, Value: src[i]}
		}
		if i := notFinite(importance); i >= 0 {
			return badImportance(t, importance, i)
		}
		return encode(dst, src, importance)
	}
}

// checkedRows puts the checks of values before an encoder of rows.
func checkedRows(t gguf.Type, encode func(dst []byte, src []float32, ne0 int, importance []float32) error) func([]byte, []float32, int, []float32) error {
	return func(dst []byte, src []float32, ne0 int, importance []float32) error {
		if i := notFinite(src); i >= 0 {
			return &ValueError{Type: t, Row: i / ne0, Column: i % ne0, Value: src[i]}
		}
		if i := notFinite(importance); i >= 0 {
			return badImportance(t, importance, i)
		}
		return encode(dst, src, ne0, importance)
	}
}

func badImportance(t gguf.Type, importance []float32, i int) error {
	return fmt.Errorf("block: %v: importance of column %d is %v", t, i, importance[i])
}

// For finds the codec of a type, in the form in use (see Implementation).
func For(t gguf.Type) (Codec, bool) {
	c, ok := codecs[t]
	if !ok {
		return Codec{}, false
	}
	return c.in(using), true
}
