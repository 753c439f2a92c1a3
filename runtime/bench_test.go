package runtime

import (
	"fmt"
	"testing"

	"github.com/moeconv/moeconv/gguf"
)

// benchModels are the ways of holding the tiny model's weights.
func benchModels(b *testing.B, f func(b *testing.B, m *Model)) {
	for _, scheme := range []string{"BF16", "Q8_0", "Q4_K_M"} {
		for _, cache := range []int64{0, -1} {
			b.Run(fmt.Sprintf("scheme=%s/decoded=%v", scheme, cache == 0), func(b *testing.B) {
				var src gguf.Source = plan(b, tinyDir, "bf16")
				if scheme != "BF16" {
					src = quantized(b, tinyDir, scheme)
				}
				f(b, load(b, src, Options{WeightCache: cache}))
			})
		}
	}
}

// BenchmarkPrefill is a chunk of perplexity: 512 tokens, logits of the second half.
func BenchmarkPrefill(b *testing.B) {
	benchModels(b, func(b *testing.B, m *Model) {
		chunk := validChunks(b, m, 512)[0]
		s := m.NewSession()
		for b.Loop() {
			s.Reset()
			eval(b, s, chunk, WantFrom(256))
		}
		b.ReportMetric(512*float64(b.N)/b.Elapsed().Seconds(), "tok/s")
	})
}

// BenchmarkDecode is one token after 128.
func BenchmarkDecode(b *testing.B) {
	benchModels(b, func(b *testing.B, m *Model) {
		chunk := validChunks(b, m, 512)[0]
		s := m.NewSession()
		eval(b, s, chunk[:128], WantNone)
		for b.Loop() {
			eval(b, s, chunk[128:129], WantLast)
			if err := s.Truncate(128); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "tok/s")
	})
}
