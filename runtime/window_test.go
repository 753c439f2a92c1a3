package runtime

import (
	"slices"
	"testing"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/runtime/nn"
	"github.com/moeconv/moeconv/runtime/offload"
	"github.com/moeconv/moeconv/testdata"
)

// TestWindows: blocks that keep a window and a batch compute what those that keep everything do, to the bit, beyond the
// window too, after cuts and in copies.
func TestWindows(t *testing.T) {
	const long = 788 // with a batch, more than is kept
	tested := 0
	for _, c := range families(t) {
		src := plan(t, c.Dir, "q8_0")
		p, err := nn.ReadParams(src.Metadata())
		if err != nil || p.Window == 0 || p.Window > 200 || testing.Short() && tested > 0 {
			continue
		}
		opts := Options{Context: 1024, Activations: ActivationsIntegers, KV: []gguf.Type{gguf.F32, gguf.F16, gguf.Q8_0}[tested%3]}
		if opts.KV == gguf.Q8_0 && (p.HeadDim%32 != 0 || p.ValueDim%32 != 0) {
			opts.KV = gguf.F16
		}
		tested++
		var outs [2][][]float32
		for i := range outs {
			opts.FullWindows = i == 0
			s := load(t, src, opts).NewSession()
			ids := make([]int32, long)
			for i := range ids {
				ids[i] = int32(i * 7919 % s.m.VocabSize())
			}
			add := func(ids []int32) { outs[i] = append(outs[i], eval(t, s, ids, WantLast).Last()) }
			add(ids[:760])
			for _, cut := range []int{750, 250} { // within what is kept, and not
				if err := s.Truncate(cut); err != nil {
					t.Fatal(err)
				}
				add(ids[cut:785])
				for _, id := range ids[785:788] {
					add([]int32{id})
				}
			}
			s.Reset()
			add(ids[:20])
		}
		if !slices.EqualFunc(outs[0], outs[1], slices.Equal[[]float32]) {
			t.Errorf("%s: other logits (%v)", c.Family, opts.KV)
		}
	}
	if testdata.Full() && tested == 0 {
		t.Error("no family with windows")
	}
}

// The size that a placement counts for the KV cache is that of the planner's, where contexts are whole numbers of its cells,
// but for what is kept beside windows.
func TestCacheBytes(t *testing.T) {
	for _, c := range families(t) {
		src := plan(t, c.Dir, "f16")
		p, err := nn.ReadParams(src.Metadata())
		if err != nil {
			t.Fatal(err)
		}
		w := p.Graph.Windows
		want, err := offload.NewCache(src.Metadata(), src.Tensors(), offload.CacheOptions{Context: 4096, Batch: 512, Key: gguf.F16, Value: gguf.F16,
			Windows: offload.Windows{On: p.Window > 0, Every: w.Every, Size: w.Size}})
		if err != nil {
			t.Fatal(err)
		}
		var states int64
		for _, l := range want.Layers {
			states += l.States
		}
		if got := p.CacheBytes(gguf.F16, 4096, false); got != want.Bytes()-states {
			t.Errorf("%s: %d bytes, the planner says %d", c.Family, got, want.Bytes()-states)
		}
	}
}
