package kernel

import (
	"fmt"

	"github.com/moeconv/moeconv/gguf"
)

// Integer reports whether rows of type t are multiplied in integers here.
func Integer(t gguf.Type) bool {
	return haveUnpacker(t)
}

// Scratch is memory of a worker's own.
type Scratch struct{ panel []weights }

// panelGroups is how many groups of weights are unpacked at a time: they stay in the nearest cache.
const panelGroups = 16 << 10 / (256 + 2*64)

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
	step := max(4, panelGroups/groups/4*4)
	if need := step * groups; cap(s.panel) < need {
		s.panel = make([]weights, max(need, alignedGroups))
	}
	_ = x.data[(tokens-1)*x.stride+groups-1]
	if tokens == 1 && matMulOne(dst.Data, t, w, x, rows) {
		return
	}
	for r := 0; r < rows; r += step {
		n := min(step, rows-r)
		panel := s.panel[:n*groups]
		l.unpack(t, panel, w[r*size:(r+n)*size], x.cols)
		products(Mat{dst.Data[r:], dst.Stride}, panel, x, n, tokens, l.mins)
	}
}
