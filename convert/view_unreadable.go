package convert

import (
	"context"
	"fmt"

	"github.com/moeconv/moeconv/convert/safetensors"
	"github.com/moeconv/moeconv/gguf"
)

// unreadable is a tensor that has no values, or none that are understood: fine as long as a rule drops it.
type unreadable struct {
	t   safetensors.Tensor
	why string
}

func (u unreadable) shape() []int64                          { return u.t.Shape }
func (u unreadable) elem() gguf.Type                         { return gguf.F32 }
func (u unreadable) units() int64                            { return 1 }
func (u unreadable) origin(row, col int64) (string, []int64) { return u.t.Name, nil }

func (u unreadable) err() error {
	return &gguf.UnsupportedError{Msg: fmt.Sprintf("convert: tensor %q: dtype %s is not supported (BF16, F16, F32): %s", u.t.Name, u.t.DType, u.why)}
}

func (u unreadable) read(context.Context, window, []byte) error { return u.err() }
