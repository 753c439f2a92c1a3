package convert

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/moeconv/moeconv/convert/family"
	"github.com/moeconv/moeconv/convert/safetensors"
	"github.com/moeconv/moeconv/gguf"
)

// bitnet is weights of -1, 0 and 1, four rows in a byte, and NAME.weight_scale, which divides.
var bitnet = encoding{name: "bitnet", reads: method("bitnet"), resolve: resolveBitnet}

func resolveBitnet(_ family.Config, ckpt *safetensors.Checkpoint) ([]source, error) {
	c := newCollector(ckpt, "no weight_scale belongs to it")
	for _, t := range ckpt.Tensors() {
		base, ok := strings.CutSuffix(t.Name, ".weight_scale")
		if !ok {
			continue
		}
		w, err := c.need(base, ".weight", t.Name)
		if err != nil {
			return nil, err
		}
		if w.DType != "U8" {
			return nil, unsupported(w, "weights of bitnet are U8")
		}
		if _, plain := plainTypes[t.DType]; !plain || rowsIn(t.Shape)*inner(t.Shape) != 1 || len(w.Shape) != 2 || w.Size == 0 {
			return nil, fmt.Errorf("tensor %q is %s %v and %q %v, expected one scale and a matrix", t.Name, t.DType, t.Shape, w.Name, w.Shape)
		}
		dims := slices.Clone(w.Shape)
		dims[0] *= 4
		c.drop(t.Name)
		if err := c.replace(w.Name, ternary{codesOf(ckpt, w), codesOf(ckpt, t), dims}, w.Name, t.Name); err != nil {
			return nil, err
		}
	}
	return c.sources(), nil
}

// ternary is a matrix of which each quarter of the rows has two bits of every byte.
type ternary struct {
	codes, scale stored
	dims         []int64
}

func (t ternary) shape() []int64  { return t.dims }
func (t ternary) elem() gguf.Type { return gguf.F32 }
func (t ternary) units() int64    { return 1 }

func (t ternary) origin(row, col int64) (string, []int64) {
	return t.codes.origin(row%t.codes.t.Shape[0], col)
}

func (t ternary) read(ctx context.Context, w window, dst []byte) error {
	return readBytes(ctx, t, w, dst)
}

func (t ternary) values(ctx context.Context, w window, dst []float32) error {
	var scale [1]float32
	if err := readFloats(ctx, t.scale, 0, scale[:]); err != nil {
		return err
	}
	var vals [4]float32
	for i := range vals {
		vals[i] = float32(i-1) / scale[0]
	}
	most := max(1, chunkBytes/max(1, w.cols))
	b := getBytes(min(most, w.n) * w.cols)
	defer putBytes(b)
	for rows := t.codes.t.Shape[0]; w.n > 0; {
		k := min(most, w.n, rows-w.row%rows)
		raw := b.b[:k*w.cols]
		if err := t.codes.read(ctx, window{w.row % rows, k, w.col, w.cols}, raw); err != nil {
			return err
		}
		shift := uint(w.row/rows) * 2
		for i, c := range raw {
			dst[i] = vals[c>>shift&3]
		}
		dst, w.row, w.n = dst[len(raw):], w.row+k, w.n-k
	}
	return nil
}
