package kernel

import (
	"fmt"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/quantize/block"
)

// SumRows sets dst to the sum of encoded rows of Q8_0, len(dst) elements each and stride bytes apart, times their
// weights. It has the bits of MatMul with the decoded rows as columns, in the same implementation.
func SumRows(dst []float32, rows []byte, stride int, weights []float32, s *Scratch) {
	size := len(dst) / blockLen32 * blockSizeQ8_0
	if n := len(weights); len(dst)%blockLen32 > 0 || stride < size || n > 0 && (n-1)*stride+size > len(rows) {
		panic(fmt.Sprintf("kernel: rows: %d of %d elements, %d bytes apart, in %d bytes", n, len(dst), stride, len(rows)))
	}
	if need := sumLanes * len(dst); cap(s.sums) < need {
		s.sums = make([]float32, need)
	}
	s.sums = s.sums[:sumLanes*len(dst)]
	clear(s.sums)
	sumRows(s.sums, rows, stride, weights)
	for e := range dst {
		lane := s.sums[e/8*8*sumLanes+e%8:]
		dst[e] = ((lane[0] + lane[8]) + (lane[16] + lane[24])) + ((lane[32] + lane[40]) + (lane[48] + lane[56]))
	}
}

const (
	sumLanes      = 8 // of MatMul's sums
	blockLen32    = 32
	blockSizeQ8_0 = 34
)

// sumRowsGeneric is the specification of sums [element/8][lane][8]: those of row i are added to lane i modulo 8.
func sumRowsGeneric(sums []float32, rows []byte, stride int, weights []float32) {
	row := make([]float32, len(sums)/sumLanes)
	c, _ := block.For(gguf.Q8_0)
	for i, w := range weights {
		c.Decode(row, rows[i*stride:][:len(row)/blockLen32*blockSizeQ8_0])
		for e, v := range row {
			sums[e/8*8*sumLanes+i%8*8+e%8] += float32(w * v)
		}
	}
}
