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
	if _, err := io.Copy(h, newTensorReader(ctx, src, tensor)); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// tensorReader reads a tensor's encoded data as a stream.
type tensorReader struct {
	ctx    context.Context
	src    Source
	tensor int
	row    int    // next row to read
	step   int    // rows in a slab
	slab   []byte // allocated once
	rest   []byte // of slab, not yet returned
}

func newTensorReader(ctx context.Context, src Source, tensor int) *tensorReader {
	t := src.Tensors()[tensor]
	step := min(slabRows(t, Units(src, tensor), rowCost(t), defaultMemory), int(t.Shape.Rows()))
	return &tensorReader{ctx: ctx, src: src, tensor: tensor, step: step}
}

// Read returns io.EOF behind the last row.
func (r *tensorReader) Read(p []byte) (int, error) {
	if len(r.rest) == 0 {
		t := r.src.Tensors()[r.tensor]
		n := min(r.step, int(t.Shape.Rows())-r.row)
		if n == 0 {
			return 0, io.EOF
		}
		if r.slab == nil {
			r.slab = make([]byte, int64(r.step)*t.RowBytes())
		}
		r.rest = r.slab[:int64(n)*t.RowBytes()]
		if err := r.src.ReadRows(r.ctx, r.tensor, r.row, n, r.rest); err != nil {
			r.rest = nil
			return 0, err
		}
		r.row += n
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}
