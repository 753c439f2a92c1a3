package kernel

import (
	"fmt"
	"math"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/quantize/block"
)

// Halves is a matrix of elements of two bytes: element c of row r is element r*Stride + c/8*Step + c%8 of Data.
type Halves struct {
	Data   []byte
	Stride int
	Type   gguf.Type // F16 or BF16
	Step   int       // 0 is 8: rows without gaps
}

func (w Halves) step() int {
	if w.Step == 0 {
		return 8
	}
	return w.Step
}

// place is the index of an element in Data, in elements.
func (w Halves) place(row, col int) int { return row*w.Stride + col/8*w.step() + col%8 }

// From is w from an element on, whose column is a multiple of eight.
func (w Halves) From(row, col int) Halves {
	w.Data = w.Data[2*w.place(row, col):]
	return w
}

// MatMulHalves is MatMul with w's elements as float32: the bits are the same.
func MatMulHalves(dst Mat, w Halves, x Mat, rows, tokens, k int) {
	dst.holds("dst", tokens, rows)
	x.holds("x", tokens, k)
	if rows <= 0 || tokens <= 0 {
		return
	}
	if k > 0 && (w.Stride < 0 || w.Step < 0 || 2*w.place(rows-1, k-1)+2 > len(w.Data)) {
		panic(fmt.Sprintf("kernel: w: %d rows of %d halves with stride %d and step %d in %d bytes", rows, k, w.Stride, w.Step, len(w.Data)))
	}
	if k == 0 {
		for t := range tokens {
			clear(dst.Row(t, rows))
		}
		return
	}
	matMulHalves(dst, w, x, rows, tokens, k)
}

// matMulHalvesGeneric is the specification of MatMulHalves: its sums have the order of dotGeneric's.
func matMulHalvesGeneric(dst Mat, w Halves, x Mat, rows, tokens, k int) {
	row := make([]float32, k)
	for r := range rows {
		for i := range row {
			row[i] = w.at(w.place(r, i))
		}
		for t := range tokens {
			dst.Data[t*dst.Stride+r] = dotGeneric(row, x.Row(t, k))
		}
	}
}

func (w Halves) at(i int) float32 {
	bits := uint16(w.Data[2*i]) | uint16(w.Data[2*i+1])<<8
	if w.Type == gguf.BF16 {
		return math.Float32frombits(uint32(bits) << 16)
	}
	return block.F16ToF32(bits)
}
