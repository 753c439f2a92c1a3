package offload

import (
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/moeconv/moeconv/gguf"
)

// planned is DeepSeek-MoE-16B in a scheme, with the metadata of its attention.
func planned(t *testing.T, scheme string, context int) ([]*Footprint, *Planner) {
	t.Helper()
	m := deepseek(scheme)
	for key, n := range map[string]uint32{"embedding_length": 2048, "attention.head_count": 16, "attention.head_count_kv": 16, "expert_used_count": 6} {
		m.md.Set("deepseek."+key, n)
	}
	p, err := NewPlanner(m.md, m.tensors, CacheOptions{Context: context, Batch: 512, Key: gguf.F16, Value: gguf.F16})
	if err != nil {
		t.Fatal(err)
	}
	all, err := p.All()
	if err != nil {
		t.Fatal(err)
	}
	return all, p
}

// The published run: 760.24 MiB of weights, 896.00 of cache, 243.51 of compute are 1899.75 (requirements, row 54).
func TestSmallest(t *testing.T) {
	all, p := planned(t, "Q4_K_M", 4096)
	last := all[len(all)-1]
	if got := mib(last.Device()); len(all) != 29 || math.Abs(got-1899.75) > 0.01 {
		t.Errorf("%d placements, the last with %.3f MiB on the device", len(all), got)
	}
	if f, err := p.At(1000); err != nil || f.Device() != last.Device() || f.Host != last.Host {
		t.Errorf("more layers than there are: %+v, %v", f, err)
	}
	if f, err := Smallest(all, math.MaxInt64, math.MaxInt64); err != nil || f.NCPUMoE != 0 {
		t.Errorf("%+v, %v", f, err)
	}
	if f, err := Smallest(all, last.Device(), last.Host); err != nil || f.NCPUMoE != 28 {
		t.Errorf("%+v, %v", f, err)
	}
	var small *TooSmallError
	if _, err := Smallest(all, last.Device()-1, math.MaxInt64); !errors.As(err, &small) || small.Place != Device || !strings.Contains(err.Error(), "largest: output.weight (164.06 MiB)") {
		t.Errorf("%v", err)
	}
	if _, err := Smallest(all, last.Device(), last.Host-1); !errors.As(err, &small) || small.Place != Host || !strings.Contains(err.Error(), "blk.1.ffn_down_exps.weight (187.00 MiB)") {
		t.Errorf("%v", err)
	}
}

// A cache is linear in the padded context, and what metadata claim is never believed beyond bounds.
func TestCacheBounds(t *testing.T) {
	for _, context := range []int{1, 256, 257, 5000, 1 << 26} {
		_, p := planned(t, "F16", context)
		if got, want := p.Cache.Bytes(), int64(padded(context))*896<<20/4096; got != want {
			t.Errorf("%d positions: %d bytes, want %d", context, got, want)
		}
	}
	for key, v := range map[string]any{"block_count": uint32(1 << 20), "attention.head_count_kv": []int32{16}, "attention.key_length": uint32(1 << 24),
		"attention.value_length": uint64(1 << 60), "nextn_predict_layers": uint32(28), "embedding_length": "wide"} {
		m := deepseek("F16")
		m.md.Set("deepseek.attention.head_count", uint32(16))
		m.md.Set("deepseek."+key, v)
		if _, err := NewPlanner(m.md, m.tensors, CacheOptions{Context: 4096, Batch: 512, Key: gguf.F16, Value: gguf.F16}); err == nil {
			t.Errorf("%s = %v is believed", key, v)
		}
	}
}
