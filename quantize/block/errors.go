package block

import (
	"fmt"
	"math"

	"github.com/moeconv/moeconv/gguf"
)

// ValueError reports a weight that a type cannot hold: one that is NaN or Inf, or
// is too large for the type, or makes a block scale that f16 cannot hold.
type ValueError struct {
	Type   gguf.Type
	Row    int     // set by EncodeRows; 0 from Codec.Encode
	Column int     // position in the row
	Value  float32 // the weight; of a block, the one of largest magnitude
	// Scale is the block scale that is not finite in the type's own precision; 0 where the weight itself is at fault.
	Scale float32
}

// Error names the position and the value.
func (e *ValueError) Error() string {
	at := fmt.Sprintf("block: %v: row %d, column %d: value %v", e.Type, e.Row, e.Column, e.Value)
	switch {
	case e.Scale != 0:
		return fmt.Sprintf("%s makes a block scale of %v, which is beyond f16", at, e.Scale)
	case math.IsNaN(float64(e.Value)) || math.IsInf(float64(e.Value), 0):
		return at + " is not finite"
	}
	return at + " is beyond the type's range"
}

// ScaleError reports encoded data with a scale that is not finite.
type ScaleError struct {
	Type  gguf.Type
	Block int // position of the block in the data
	Value float32
}

// Error names the block and its scale.
func (e *ScaleError) Error() string {
	if e.Type.Quantized() {
		return fmt.Sprintf("block: %v: scale of block %d is %v", e.Type, e.Block, e.Value)
	}
	return fmt.Sprintf("block: %v: value %d is %v", e.Type, e.Block, e.Value)
}

// badScale makes the error of the block of src that starts at column: it names the weight of largest magnitude.
func badScale(t gguf.Type, block []float32, column int, scale float32) *ValueError {
	e := &ValueError{Type: t, Column: column, Scale: scale}
	for i, v := range block {
		if abs32(v) > abs32(e.Value) {
			e.Value, e.Column = v, column+i
		}
	}
	return e
}

// finite32 are kernels for notFinite, nil where there are none: they return how many groups of 64 floats stand before the
// first that has a NaN or Inf.
var finite32 [forms]func(src *float32, groups int) (done int)

// notFinite is the position of the first NaN or Inf, -1 if there is none.
func notFinite(src []float32) int {
	done := 0
	if kernel := finite32[using]; kernel != nil && len(src) >= 64 {
		done = 64 * kernel(&src[0], len(src)/64)
	}
	for i, v := range src[done:] {
		if math.Float32bits(v)&0x7f800000 == 0x7f800000 {
			return done + i
		}
	}
	return -1
}

// validate16 makes a Validate for blocks of t with f16 scales at the given byte offsets.
func validate16(t gguf.Type, offsets ...int) func([]byte) error {
	size := t.BlockSize()
	return func(src []byte) error {
		if len(src)%size != 0 {
			return fmt.Errorf("block: %v: %d bytes are not whole blocks of %d", t, len(src), size)
		}
		for b := 0; b < len(src)/size; b++ {
			for _, o := range offsets {
				if h := load16(src[b*size+o:]); h&0x7c00 == 0x7c00 {
					return &ScaleError{Type: t, Block: b, Value: F16ToF32(h)}
				}
			}
		}
		return nil
	}
}
