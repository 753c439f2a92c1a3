package quantize

import (
	"context"

	"github.com/moeconv/moeconv/gguf"
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
