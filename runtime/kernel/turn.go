package kernel

import (
	"fmt"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/quantize/block"
)

// Turn makes the first dim elements of n rows of x columns 0 to n-1 of dst.
func Turn(dst, x Mat, n, dim int) {
	x.holds("x", n, dim)
	dst.holds("dst", dim, n)
	rows, cols := turn(dst, x, n, dim)
	for i := range n {
		from := 0
		if i < rows {
			from = cols
		}
		for e, v := range x.Row(i, dim)[from:] {
			dst.Data[(from+e)*dst.Stride+i] = v
		}
	}
}

// TurnF16 is Turn for rows of halves, stride bytes apart.
func TurnF16(dst Mat, x []byte, stride, n, dim int) {
	dst.holds("dst", dim, n)
	if n > 0 && (stride < 2*dim || (n-1)*stride+2*dim > len(x)) {
		panic(fmt.Sprintf("kernel: x: %d rows of %d halves, %d bytes apart, in %d bytes", n, dim, stride, len(x)))
	}
	rows, cols := turnF16(dst, x, stride, n, dim)
	c, _ := block.For(gguf.F16)
	row := make([]float32, dim)
	for i := range n {
		from := 0
		if i < rows {
			from = cols
		}
		if from == dim {
			continue
		}
		c.Decode(row[from:], x[i*stride:][2*from:2*dim])
		for e, v := range row[from:] {
			dst.Data[(from+e)*dst.Stride+i] = v
		}
	}
}
