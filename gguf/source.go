package gguf

import (
	"context"
	"fmt"
	"io"
)

// Source is a model that can be read tensor by tensor: an open file, a conversion plan, a quantization of either.
// Everything downstream (writer, quantizer, runtime, verifier) reads one. Implementations must allow concurrent ReadRows.
type Source interface {
	Metadata() *Metadata
	Tensors() []TensorInfo
	// ReadRows fills dst with n encoded rows of the tensor's own type, starting at row; rows count over ne1*ne2*ne3.
	// len(dst) must be n*RowBytes.
	ReadRows(ctx context.Context, tensor, row, n int, dst []byte) error
}

// Uniter is an optional part of a Source: the number of rows that are cheap to read together
// (an expert, a head). Readers ask for multiples of it where they can.
type Uniter interface{ Units(tensor int) (rows int) }

// Ranger is an optional part of a Source: where a tensor's raw bytes lie, for offload.
type Ranger interface {
	Range(tensor int) (r io.ReaderAt, off, n int64, ok bool)
}

// Units is src's granularity for a tensor, 1 where it states none.
func Units(src Source, tensor int) int {
	if u, ok := src.(Uniter); ok {
		return max(1, u.Units(tensor))
	}
	return 1
}

// CheckRows validates the arguments of a ReadRows call against the tensor they name.
// Implementations call it first, so that callers' mistakes have one message.
func CheckRows(tensors []TensorInfo, tensor, row, n int, dst []byte) error {
	if tensor < 0 || tensor >= len(tensors) {
		return fmt.Errorf("gguf: tensor index %d of %d", tensor, len(tensors))
	}
	t := tensors[tensor]
	rows := t.Shape.Rows()
	if row < 0 || n < 0 || int64(row)+int64(n) > rows {
		return fmt.Errorf("gguf: tensor %q: rows %d to %d of %d", t.Name, row, row+n, rows)
	}
	if want := int64(n) * t.RowBytes(); int64(len(dst)) != want {
		return fmt.Errorf("gguf: tensor %q: buffer of %d bytes for %d", t.Name, len(dst), want)
	}
	return nil
}

// Find is the index of the tensor of that name in ts, -1 if there is none.
func Find(ts []TensorInfo, name string) int {
	for i := range ts {
		if ts[i].Name == name {
			return i
		}
	}
	return -1
}
