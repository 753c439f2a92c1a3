package convert

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/moeconv/moeconv/convert/family"
	"github.com/moeconv/moeconv/convert/safetensors"
)

// benchEncodings are one matrix of 2048 rows and 4096 columns in each encoding.
var benchEncodings = []struct {
	name    string
	config  string
	tensors map[string]tensorHeader
}{
	{"bf16", `{}`, map[string]tensorHeader{"x.weight": {DType: "BF16", Shape: []int64{2048, 4096}}}},
	{"fp8-block128", `{"quantization_config":{"quant_method":"fp8","weight_block_size":[128,128]}}`,
		map[string]tensorHeader{"x.weight": {DType: "F8_E4M3", Shape: []int64{2048, 4096}}, "x.weight_scale_inv": {DType: "F32", Shape: []int64{16, 32}}}},
	{"fp8-channel", `{"quantization_config":{"quant_method":"fp8"}}`,
		map[string]tensorHeader{"x.weight": {DType: "F8_E4M3", Shape: []int64{2048, 4096}}, "x.weight_scale": {DType: "BF16", Shape: []int64{2048, 1}}}},
	{"pack4-group32", `{"quantization_config":{"quant_method":"compressed-tensors","format":"pack-quantized","config_groups":{"g":{"weights":{"num_bits":4,"strategy":"group","group_size":32}}}}}`,
		map[string]tensorHeader{"x.weight_packed": {DType: "I32", Shape: []int64{2048, 512}}, "x.weight_scale": {DType: "BF16", Shape: []int64{2048, 128}}, "x.weight_shape": {DType: "I32", Shape: []int64{2}}}},
	{"gptq4-group128", `{"quantization_config":{"quant_method":"gptq","bits":4,"group_size":128}}`,
		map[string]tensorHeader{"x.qweight": {DType: "I32", Shape: []int64{512, 2048}}, "x.qzeros": {DType: "I32", Shape: []int64{32, 256}}, "x.scales": {DType: "F16", Shape: []int64{32, 2048}}}},
}

// BenchmarkEncodings reads a matrix as F32 in the pieces in which it is encoded; ns/value is a core's.
func BenchmarkEncodings(b *testing.B) {
	for _, e := range benchEncodings {
		b.Run(e.name, func(b *testing.B) {
			v := benchView(b, e.config, e.tensors)
			sum := float32(0)
			b.SetBytes(2048 * 4096 * 4)
			b.ReportAllocs()
			for b.Loop() {
				if err := readF32(context.Background(), v, window{0, 2048, 0, 4096}, func(_ int64, vals []float32) error {
					sum += vals[0]
					return nil
				}); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/(2048*4096), "ns/value")
		})
	}
}

func benchView(b *testing.B, config string, tensors map[string]tensorHeader) view {
	a := altered{headers: tensors, data: map[string][]byte{}}
	for name, h := range tensors {
		a.put(name, h.DType, safetensors.DType(h.DType).Bits()/8, h.Shape...)
	}
	if shape := a.data["x.weight_shape"]; shape != nil {
		copy(shape, "\x00\x08\x00\x00\x00\x10\x00\x00")
	}
	dir := b.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "model.safetensors"), safetensorsFile(b, a.headers, a.data), 0o600); err != nil {
		b.Fatal(err)
	}
	ckpt, err := safetensors.Open(os.DirFS(dir))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { ckpt.Close() })
	c, err := family.ParseConfig([]byte(config))
	if err != nil {
		b.Fatal(err)
	}
	sources, err := resolveSources(c, ckpt)
	if err != nil || len(sources) != 1 {
		b.Fatalf("%d sources: %v", len(sources), err)
	}
	return sources[0].view
}
