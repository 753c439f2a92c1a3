package block

import (
	"errors"
	"fmt"

	"github.com/moeconv/moeconv/gguf"
)

// EncodeRows encodes rows of ne0 elements: src holds whole rows, dst exactly their
// encoded size. importance, of length ne0 or nil, weighs the columns of every row.
// A *ValueError names the row and column at fault.
func EncodeRows(t gguf.Type, dst []byte, src []float32, ne0 int, importance []float32) error {
	c, err := layout(t, len(dst), len(src), ne0)
	if err != nil {
		return err
	}
	if importance != nil && len(importance) != ne0 {
		return fmt.Errorf("block: %v: %d importance weights given for rows of %d elements", t, len(importance), ne0)
	}
	if importance == nil { // blocks do not know of rows, and kernels like many of them
		err := c.Encode(dst, src, nil)
		if ve := (*ValueError)(nil); errors.As(err, &ve) {
			ve.Row, ve.Column = ve.Column/ne0, ve.Column%ne0
		}
		return err
	}
	if c.rows != nil {
		return c.rows(dst, src, ne0, importance)
	}
	return c.eachRow(dst, src, ne0, importance)
}

// eachRow encodes rows one by one. Lengths fit.
func (c Codec) eachRow(dst []byte, src []float32, ne0 int, importance []float32) error {
	rows := len(src) / ne0
	for r := range rows {
		size := len(dst) / rows
		err := c.Encode(dst[r*size:(r+1)*size:(r+1)*size], src[r*ne0:(r+1)*ne0], importance)
		if ve := (*ValueError)(nil); errors.As(err, &ve) {
			ve.Row = r
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// DecodeRows decodes rows of ne0 elements: dst has room for whole rows, src exactly their encoded size.
func DecodeRows(t gguf.Type, dst []float32, src []byte, ne0 int) error {
	c, err := layout(t, len(src), len(dst), ne0)
	if err != nil {
		return err
	}
	c.Decode(dst, src) // blocks do not know of rows
	return nil
}

// Validate checks that encoded data of t holds whole blocks with finite scales, as ggml_validate_row_data does.
func Validate(t gguf.Type, src []byte) error {
	c, ok := For(t)
	if !ok {
		return &gguf.UnsupportedError{Msg: fmt.Sprintf("block: no codec for type %v", t)}
	}
	if c.Validate == nil {
		return nil
	}
	return c.Validate(src)
}

// layout finds t's codec and checks that encoded bytes and elements are the same number of rows of ne0.
func layout(t gguf.Type, encoded, elements, ne0 int) (Codec, error) {
	c, ok := For(t)
	if !ok {
		return c, &gguf.UnsupportedError{Msg: fmt.Sprintf("block: no codec for type %v", t)}
	}
	if ne0 <= 0 || elements%ne0 != 0 {
		return c, fmt.Errorf("block: %v: %d elements are not whole rows of %d", t, elements, ne0)
	}
	n, err := t.RowBytes(int64(ne0))
	if err != nil {
		return c, fmt.Errorf("block: %v: %w", t, err)
	}
	rows := elements / ne0
	if encoded != rows*int(n) {
		return c, fmt.Errorf("block: %v: %d bytes given for %d rows of %d elements, which take %d", t, encoded, rows, ne0, rows*int(n))
	}
	return c, nil
}
