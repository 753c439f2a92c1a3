package kernel

import (
	"math"

	"github.com/moeconv/moeconv/gguf"
)

// Products in integers work on groups of 256 elements of a row: a super-block, or eight blocks of 32.

// weights is a group of a weight row, taken apart.
type weights struct {
	quants [groupLen]uint8 // 128 more than they stand for
	scales [16]uint32      // of a super-block: integers for runs of 16; else a float32 for each block
	super  [16]uint32      // of a super-block: float32 factors of the scales and of the mins
	mins   [16]uint32      // like the scales; not written for types without minima
}

// inputs is a group of an activation row: element = scale*quant. Whatever of the rest a kernel wants, it finds made.
type inputs struct {
	quants [groupLen]int8
	bias16 [16]int32  // -128 times the sum of a run of 16
	bias32 [8]int32   // -128 times the sum of a run of 32
	scales [8]float32 // of runs of 32
	sums   [8]float32 // scale times the sum of a run of 32
	sums16 [16]int16  // sums of runs of 16: of even ones first
	sums32 [8]int16   // sums of runs of 32
	_      [48]byte
}

// Sizes of groups in bytes, on which kernels count.
const (
	weightsSize = groupLen + 3*64
	inputsSize  = 512
)

// groupLen is the number of elements of a group; a row's last group is padded with zeros.
const groupLen = 256

func groupsOf(n int) int { return (n + groupLen - 1) / groupLen }

// productGeneric is the specification of the integer product of two rows of groups. The sum of the products of a
// block, in super-blocks scaled by integers, is exact; groups are added up in order, super-blocks' minima apart.
func (l *layout) productGeneric(w []weights, x []inputs) float32 {
	var acc, less float32
	for g := range w {
		if !l.super {
			acc += l.blocks(&w[g], &x[g])
			continue
		}
		sum, least := superBlock(&w[g], &x[g])
		acc += float32(float32(math.Float32frombits(w[g].super[0])*x[g].scales[0]) * float32(sum))
		if l.mins {
			less += float32(float32(math.Float32frombits(w[g].super[1])*x[g].scales[0]) * float32(least))
		}
	}
	if l.mins && l.super {
		return acc - less
	}
	return acc
}

// run is the exact product of elements at to at+n-1.
func (w *weights) run(x *inputs, at, n int) (sum int32) {
	q, y := w.quants[at:at+n], x.quants[at:at+n]
	for i := range q {
		sum += (int32(q[i]) - 128) * int32(y[i])
	}
	return sum
}

// superBlock is the exact sums of a super-block's scaled products and minima.
func superBlock(w *weights, x *inputs) (sum, least int32) {
	for r := range 16 {
		sum += int32(w.scales[r]) * w.run(x, 16*r, 16)
		least += int32(w.mins[r]) * (x.bias16[r] / -128)
	}
	return sum, least
}

// blocks adds up the scaled products of eight blocks: those four apart first, then the pairs in order.
func (l *layout) blocks(w *weights, x *inputs) (sum float32) {
	var scaled [8]float32
	for b := range scaled {
		scaled[b] = float32(math.Float32frombits(w.scales[b])*x.scales[b]) * float32(w.run(x, 32*b, 32))
		if l.mins {
			scaled[b] -= float32(math.Float32frombits(w.mins[b]) * x.sums[b])
		}
	}
	for b := range 4 {
		sum += scaled[b] + scaled[b+4]
	}
	return sum
}

// matMulEncodedGeneric is the specification of MatMulEncoded.
func (l *layout) matMulEncodedGeneric(dst Mat, t gguf.Type, w []byte, x Inputs, rows, tokens int) {
	row := make([]weights, x.groups)
	size := len(w) / rows
	for r := range rows {
		l.unpackGeneric(t, row, w[r*size:][:size], x.cols)
		for i := range tokens {
			dst.Data[i*dst.Stride+r] = l.productGeneric(row, x.data[i*x.stride:][:x.groups])
		}
	}
}
