package convert

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"

	"github.com/moeconv/moeconv/convert/family"
	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/quantize/block"
)

// mapped changes each value by itself, in F32. The reference computes with F16 tensors in F16, so their results are rounded to that.
type mapped struct {
	in view
	f  func(float32) float32
}

func newMap(in view, o family.Map) (view, error) {
	if in.elem().BlockLen() > 1 || o.Func == nil {
		return nil, fmt.Errorf("values of %v cannot be computed with", in.elem())
	}
	if in.elem() == gguf.F16 {
		return mapped{in, func(v float32) float32 { return block.F16ToF32(block.F32ToF16(o.Func(v))) }}, nil
	}
	return mapped{in, o.Func}, nil
}

func (m mapped) shape() []int64                          { return m.in.shape() }
func (m mapped) elem() gguf.Type                         { return gguf.F32 }
func (m mapped) units() int64                            { return m.in.units() }
func (m mapped) origin(row, col int64) (string, []int64) { return m.in.origin(row, col) }

func (m mapped) read(ctx context.Context, w window, dst []byte) error {
	return readF32(ctx, m.in, w, func(at int64, vals []float32) error {
		for i, v := range vals {
			binary.LittleEndian.PutUint32(dst[4*(at+int64(i)):], math.Float32bits(m.f(v)))
		}
		return nil
	})
}
