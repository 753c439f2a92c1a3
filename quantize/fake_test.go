package quantize

import (
	"context"
	"encoding/binary"
	"math"
	"testing"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/quantize/imatrix"
)

// fakeSource is a source of any tensors; rows come from fill.
type fakeSource struct {
	md   *gguf.Metadata
	ts   []gguf.TensorInfo
	fill func(tensor, row, n int, dst []byte) error
}

func (s fakeSource) Metadata() *gguf.Metadata   { return s.md }
func (s fakeSource) Tensors() []gguf.TensorInfo { return s.ts }

func (s fakeSource) ReadRows(_ context.Context, tensor, row, n int, dst []byte) error {
	if err := gguf.CheckRows(s.ts, tensor, row, n, dst); err != nil {
		return err
	}
	return s.fill(tensor, row, n, dst)
}

// floats makes a source of F32 tensors.
func floats(md *gguf.Metadata, names []string, shapes []gguf.Shape, values [][]float32) gguf.Source {
	s := fakeSource{md: md}
	for i, n := range names {
		s.ts = append(s.ts, gguf.TensorInfo{Name: n, Type: gguf.F32, Shape: shapes[i]})
	}
	s.fill = func(tensor, row, n int, dst []byte) error {
		ne0 := int(shapes[tensor].NE(0))
		for i, v := range values[tensor][row*ne0 : (row+n)*ne0] {
			binary.LittleEndian.PutUint32(dst[4*i:], math.Float32bits(v))
		}
		return nil
	}
	return s
}

// matrixOf is an importance matrix of sums and counts by tensor.
func matrixOf(tb testing.TB, sums, counts map[string][]float32) *imatrix.Matrix {
	tb.Helper()
	md := &gguf.Metadata{}
	md.Set("imatrix.datasets", []string{"some text"})
	md.Set("imatrix.chunk_count", uint32(3))
	md.Set("imatrix.chunk_size", uint32(512))
	var names []string
	var shapes []gguf.Shape
	var values [][]float32
	for name, s := range sums {
		c := counts[name]
		names = append(names, name+".in_sum2", name+".counts")
		shapes = append(shapes, gguf.Shape{int64(len(s) / len(c)), int64(len(c))}, gguf.Shape{1, int64(len(c))})
		values = append(values, s, c)
	}
	m, err := imatrix.Read(floats(md, names, shapes, values))
	if err != nil {
		tb.Fatal(err)
	}
	return m
}
