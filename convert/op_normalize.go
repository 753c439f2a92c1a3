package convert

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"sync"

	"github.com/moeconv/moeconv/gguf"
)

// normalized divides each column by its Euclidean norm, which the first read computes.
type normalized struct {
	in   view
	mu   *sync.Mutex
	norm *[]float32 // of each column; nil before it is known
}

func newNormalize(in view) (view, error) {
	if len(in.shape()) != 2 || in.elem().BlockLen() > 1 {
		return nil, fmt.Errorf("a tensor of shape %v and type %v cannot be normalised by columns", in.shape(), in.elem())
	}
	return normalized{in, new(sync.Mutex), new([]float32)}, nil
}

func (v normalized) shape() []int64                          { return v.in.shape() }
func (v normalized) elem() gguf.Type                         { return gguf.F32 }
func (v normalized) units() int64                            { return v.in.units() }
func (v normalized) origin(row, col int64) (string, []int64) { return v.in.origin(row, col) }

// norms adds squares row by row in F32, as the reference does, and keeps the divisor from being zero.
func (v normalized) norms(ctx context.Context) ([]float32, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if *v.norm != nil {
		return *v.norm, nil
	}
	sums := make([]float32, inner(v.shape()))
	all := window{0, rowsIn(v.shape()), 0, width(v.in)}
	err := readF32(ctx, v.in, all, func(_ int64, vals []float32) error {
		for i, x := range vals {
			sums[i%len(sums)] += float32(x * x)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for i, s := range sums {
		sums[i] = float32(math.Sqrt(float64(s))) + 1e-7
	}
	*v.norm = sums
	return sums, nil
}

func (v normalized) read(ctx context.Context, w window, dst []byte) error {
	norm, err := v.norms(ctx)
	if err != nil {
		return err
	}
	norm = norm[w.col : w.col+w.cols]
	return readF32(ctx, v.in, w, func(at int64, vals []float32) error {
		for i, x := range vals {
			binary.LittleEndian.PutUint32(dst[4*(at+int64(i)):], math.Float32bits(x/norm[i%len(norm)]))
		}
		return nil
	})
}
