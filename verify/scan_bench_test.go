package verify

import (
	"math/rand/v2"
	"testing"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/quantize/block"
)

// BenchmarkScan is how fast one core scans a large file, by type.
func BenchmarkScan(b *testing.B) {
	const ne0, rows = 4096, 256
	rng := rand.New(rand.NewPCG(1, 2))
	x := make([]float32, ne0*rows)
	for i := range x {
		x[i] = float32(rng.NormFloat64()) * 0.02
	}
	importance := make([]float32, ne0)
	for i := range importance {
		importance[i] = 1
	}
	for t := gguf.Type(0); t < 64; t++ {
		if _, ok := block.For(t); !ok {
			continue
		}
		info := gguf.TensorInfo{Name: "x", Type: t, Shape: gguf.Shape{ne0, rows}}
		size := int(info.RowBytes())
		raw := make([]byte, rows*size)
		if err := block.EncodeRows(t, raw[:4*size], x[:4*ne0], ne0, importance); err != nil {
			continue
		}
		for at := 4 * size; at < len(raw); at += 4 * size {
			copy(raw[at:], raw[:4*size])
		}
		b.Run(t.String(), func(b *testing.B) {
			b.SetBytes(int64(len(raw)))
			rd := reader{raw: raw}
			for b.Loop() {
				var s scanned
				if err := s.slab(&rd, info, 0, scanShare); err != nil || s.bad > 0 {
					b.Fatal(err)
				}
			}
		})
	}
}
