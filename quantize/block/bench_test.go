package block

import (
	"fmt"
	"testing"

	"github.com/moeconv/moeconv/gguf"
)

// benchWeights is the row length of the benchmarks.
const benchWeights = 4096

func benchRow() (src, importance []float32) {
	return generate("bench", benchWeights, benchWeights, rowGenerators["small"]),
		generate("bench/importance", benchWeights, benchWeights, importanceGenerators["random"])
}

// BenchmarkEncode reports ns per weight of one core.
func BenchmarkEncode(b *testing.B) {
	src, importance := benchRow()
	for _, t := range gguf.AllTypes() {
		c, ok := For(t)
		if !ok {
			continue
		}
		for _, w := range [][]float32{nil, importance} {
			if c.NeedsImportance && w == nil {
				continue
			}
			for f := generic; f <= best; f++ {
				if k := codecs[t].kernels[f]; f != generic && k.encode == nil {
					continue
				}
				c := codecs[t].in(f)
				b.Run(fmt.Sprintf("type=%v/importance=%v/form=%s", t, w != nil, formNames[f]), func(b *testing.B) {
					dst := make([]byte, benchWeights/t.BlockLen()*t.BlockSize())
					b.SetBytes(4 * benchWeights)
					b.ReportAllocs()
					for b.Loop() {
						if err := c.Encode(dst, src, w); err != nil {
							b.Fatal(err)
						}
					}
					b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchWeights, "ns/weight")
				})
			}
		}
	}
}

// BenchmarkValidate reports ns per weight of one core.
func BenchmarkValidate(b *testing.B) {
	src, importance := benchRow()
	for _, t := range gguf.AllTypes() {
		c, ok := For(t)
		if !ok || c.Validate == nil {
			continue
		}
		enc := make([]byte, benchWeights/t.BlockLen()*t.BlockSize())
		if err := c.Encode(enc, src, importance); err != nil {
			b.Fatal(err)
		}
		for f := generic; f <= best; f++ {
			if k := codecs[t].kernels[f]; f != generic && k.validate == nil {
				continue
			}
			c := codecs[t].in(f)
			b.Run(fmt.Sprintf("type=%v/form=%s", t, formNames[f]), func(b *testing.B) {
				b.SetBytes(int64(len(enc)))
				for b.Loop() {
					if err := c.Validate(enc); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchWeights, "ns/weight")
			})
		}
	}
}

// BenchmarkDecode reports ns per weight of one core.
func BenchmarkDecode(b *testing.B) {
	src, importance := benchRow()
	for _, t := range gguf.AllTypes() {
		c, ok := For(t)
		if !ok {
			continue
		}
		enc := make([]byte, benchWeights/t.BlockLen()*t.BlockSize())
		if err := c.Encode(enc, src, importance); err != nil {
			b.Fatal(err)
		}
		for f := generic; f <= best; f++ {
			if k := codecs[t].kernels[f]; f != generic && k.decode == nil {
				continue
			}
			c := codecs[t].in(f)
			b.Run(fmt.Sprintf("type=%v/form=%s", t, formNames[f]), func(b *testing.B) {
				dst := make([]float32, benchWeights)
				b.SetBytes(4 * benchWeights)
				for b.Loop() {
					c.Decode(dst, enc)
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchWeights, "ns/weight")
			})
		}
	}
}
