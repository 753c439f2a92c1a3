package convert

import (
	"context"
	"encoding/binary"
	"math"

	"github.com/moeconv/moeconv/gguf"
)

// computed is a vector that config.json gives.
type computed []float32

func (c computed) shape() []int64  { return []int64{int64(len(c))} }
func (c computed) elem() gguf.Type { return gguf.F32 }
func (c computed) units() int64    { return 1 }

func (c computed) origin(_, col int64) (string, []int64) { return "config.json", []int64{col} }

func (c computed) read(_ context.Context, w window, dst []byte) error {
	for i, v := range c[w.col : w.col+w.cols] {
		binary.LittleEndian.PutUint32(dst[4*i:], math.Float32bits(v))
	}
	return nil
}
