package gguf

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
)

// WithMetadata is src with other metadata. Rows, units and ranges stay src's; md is not copied.
func WithMetadata(src Source, md *Metadata) Source {
	r := relabelled{src, md}
	if rg, ok := src.(Ranger); ok {
		return relabelledRanger{r, rg}
	}
	return r
}

type relabelled struct {
	Source
	md *Metadata
}

func (r relabelled) Metadata() *Metadata { return r.md }

// Units keeps the granularity of the source beneath.
func (r relabelled) Units(tensor int) int { return Units(r.Source, tensor) }

type relabelledRanger struct {
	relabelled
	Ranger
}

// TensorSHA256 is the SHA-256, in hex, of a tensor's encoded data without padding.
func TensorSHA256(ctx context.Context, src Source, tensor int) (string, error) {
	h := sha256.New()
	if err := copyTensor(ctx, h, src, tensor); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// copyTensor writes a tensor's encoded data to w, slab by slab.
func copyTensor(ctx context.Context, w io.Writer, src Source, tensor int) error {
	t := src.Tensors()[tensor]
	rows := int(t.Shape.Rows())
	step := slabRows(t, Units(src, tensor), defaultMemory)
	var buf []byte
	for row := 0; row < rows; row += step {
		n := min(step, rows-row)
		if buf == nil {
			buf = make([]byte, int64(n)*t.RowBytes())
		}
		b := buf[:int64(n)*t.RowBytes()]
		if err := src.ReadRows(ctx, tensor, row, n, b); err != nil {
			return err
		}
		if _, err := w.Write(b); err != nil {
			return err
		}
	}
	return nil
}
