package convert

import (
	"context"

	"github.com/moeconv/moeconv/convert/safetensors"
	"github.com/moeconv/moeconv/gguf"
)

// chunkBytes is how much is read or made at once.
const chunkBytes = 1 << 20

// stored is a tensor of the checkpoint whose values stand there as F32, F16 or BF16.
type stored struct {
	ckpt *safetensors.Checkpoint
	t    safetensors.Tensor
	typ  gguf.Type
}

// plainTypes are the dtypes whose bytes are those of a GGUF type.
var plainTypes = map[safetensors.DType]gguf.Type{"F32": gguf.F32, "F16": gguf.F16, "BF16": gguf.BF16}

func (s stored) shape() []int64  { return s.t.Shape }
func (s stored) elem() gguf.Type { return s.typ }
func (s stored) units() int64    { return 1 }

func (s stored) origin(row, col int64) (string, []int64) {
	return s.t.Name, indexOf(s.t.Shape, row, col)
}

func (s stored) read(ctx context.Context, w window, dst []byte) error {
	size, rowBytes := elemBytes(s), width(s)*elemBytes(s)
	if w.wide(s) {
		return s.readRuns(ctx, dst, w.row*rowBytes)
	}
	// Narrow columns of short rows: whole rows in large chunks cost less than a call a row.
	part := w.cols * size
	if step := chunkBytes / rowBytes; part < 4096 && step > 1 {
		b := getBytes(min(step, w.n) * rowBytes)
		defer putBytes(b)
		for i := int64(0); i < w.n; i += step {
			k := min(step, w.n-i)
			raw := b.b[:k*rowBytes]
			if err := s.readRuns(ctx, raw, (w.row+i)*rowBytes); err != nil {
				return err
			}
			for j := range k {
				copy(dst[(i+j)*part:(i+j+1)*part], raw[j*rowBytes+w.col*size:])
			}
		}
		return nil
	}
	for i := range w.n {
		if err := s.readRuns(ctx, dst[i*part:(i+1)*part], (w.row+i)*rowBytes+w.col*size); err != nil {
			return err
		}
	}
	return nil
}

// readRuns reads bytes of the tensor in chunks, between which ctx can end it.
func (s stored) readRuns(ctx context.Context, p []byte, off int64) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		n := min(len(p), chunkBytes)
		if err := s.ckpt.ReadAt(s.t, p[:n], off); err != nil {
			return err
		}
		if p, off = p[n:], off+int64(n); len(p) == 0 {
			return nil
		}
	}
}
