package kernel

import (
	"fmt"

	"github.com/moeconv/moeconv/gguf"
)

// Scratch is memory of a worker's own.
type Scratch struct {
	rows, panel []weights
	sums        []float32
}

// MatMulEncoded is MatMul with rows in their encoded form, of a type t that Integer holds of. x is rounded to DotType(t)
// and begins at the first token. The value of an element depends on its row and its token only.
func MatMulEncoded(dst Mat, t gguf.Type, w []byte, x Inputs, rows, tokens int, s *Scratch) {
	dst.holds("dst", tokens, rows)
	if rows <= 0 || tokens <= 0 {
		return
	}
	l, groups := layouts[t], x.groups
	size := x.cols / t.BlockLen() * t.BlockSize()
	if len(w) != rows*size {
		panic(fmt.Sprintf("kernel: w: %d bytes for %d rows of %d elements of %v", len(w), rows, x.cols, t))
	}
	_ = x.data[(tokens-1)*x.stride+groups-1]
	l.matMulEncoded(dst, t, w, x, rows, tokens, s)
}
