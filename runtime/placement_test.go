package runtime

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/quantize/imatrix"
	"github.com/moeconv/moeconv/runtime/nn"
	"github.com/moeconv/moeconv/runtime/offload"
)

// saved is a source as a file, which can be mapped and read at offsets.
func saved(t *testing.T, src gguf.Source) *gguf.File {
	t.Helper()
	name := filepath.Join(t.TempDir(), "model.gguf")
	if _, err := gguf.WriteFile(t.Context(), name, src, gguf.FileOptions{}); err != nil {
		t.Fatal(err)
	}
	f, err := gguf.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// texts are the logits of a prompt, at once, and of tokens after it, one by one.
func texts(t *testing.T, m *Model) [][]float32 {
	t.Helper()
	s := m.NewSession()
	ids := make([]int32, 24)
	for i := range ids {
		ids[i] = int32(i * 7919 % m.VocabSize())
	}
	var out [][]float32
	for _, list := range [][]int32{ids, ids[:1], ids[5:6], ids[7:8], ids[7:8]} {
		o, err := s.Eval(t.Context(), list, WantAll)
		if err != nil {
			t.Error(err) // other goroutines call this, too
			return nil
		}
		out = append(out, o.Logits...)
	}
	return out
}

// experts is the size of a cache of n of a model's largest experts; 0 where there are none.
func experts(src gguf.Source, n int64) int64 {
	byBlock := map[string]int64{}
	var largest int64
	for _, t := range src.Tensors() {
		if block, role, _ := strings.Cut(t.Name, ".ffn_"); strings.HasSuffix(role, "exps.weight") {
			byBlock[block] += offload.ExpertBytes(t)
			largest = max(largest, byBlock[block])
		}
	}
	return n * largest
}

// TestStorageEqual: however weights are kept, logits are the same to the bit: of every family, by its file or its checkpoint.
func TestStorageEqual(t *testing.T) {
	for i, c := range families(t) {
		outType, opts := "bf16", Options{Context: 64}
		if i%2 == 0 {
			outType, opts.Activations = "q8_0", ActivationsIntegers
		}
		src := plan(t, c.Dir, outType)
		file := saved(t, src)
		want := texts(t, load(t, src, opts))
		check := func(how string, src gguf.Source, o Options) {
			t.Helper()
			m := load(t, src, o)
			defer m.Close()
			got := texts(t, m)
			if !slices.EqualFunc(got, want, slices.Equal[[]float32]) {
				t.Errorf("%s: %s: other logits", c.Family, how)
			}
			if !m.NeedsSource() {
				t.Errorf("%s: %s: the source may be closed", c.Family, how)
			}
		}
		mapped := opts
		mapped.Placement.Map = true
		check("mapped", file, mapped)
		if experts(src, 1) == 0 {
			continue
		}
		o := opts
		o.ExpertRAM = experts(src, 1)
		check("streamed through one expert, from a file", file, o)
		o.ExpertRAM = experts(src, 5)
		check("streamed through five experts, from a checkpoint", src, o)
		mapped.Placement.Overrides = []offload.Override{{Pattern: "ffn_(gate_)?up_(ch)?exps.weight", Place: offload.Host, Storage: offload.Streamed}}
		mapped.ExpertRAM = experts(src, 2)
		check("mapped, experts in part", file, mapped)
	}
}

// A model is resident where it fits in the memory it may use, else its experts are streamed, else, if it may, it is mapped.
func TestPlacement(t *testing.T) {
	src := plan(t, deepseekDir, "bf16")
	file := saved(t, src)
	opts := Options{Context: 64}
	var all int64
	for _, ti := range src.Tensors() {
		all += ti.Bytes()
	}
	params, err := nn.ReadParams(src.Metadata())
	if err != nil {
		t.Fatal(err)
	}
	base := params.CacheBytes(gguf.F32, 64, false) + params.ComputeBytes(int(src.Tensors()[gguf.Find(src.Tensors(), "token_embd.weight")].Shape.NE(1)))
	for _, c := range []struct {
		name                       string
		ram, experts               int64
		fit                        bool
		resident, mapped, streamed bool
	}{
		{"no bound", 0, 0, false, true, false, false},
		{"room", base + all, 0, false, true, false, false},
		{"a byte too little", base + all - 1, 0, false, true, false, true},
		{"room for one text of two", base + all, 0, false, true, false, true},
		{"experts as asked for", 0, experts(src, 3), false, true, false, true},
		{"nothing fits, nobody asked", base + experts(src, 6), 0, true, false, true, true},
		{"too small, nobody asked", 1000, 0, true, false, true, true},
	} {
		o := opts
		o.RAM, o.ExpertRAM, o.Fit = c.ram, c.experts, c.fit
		if strings.Contains(c.name, "of two") {
			o.Sessions = 2
		}
		m := load(t, file, o)
		s := m.Ledger().Storage()
		if (s[0].Tensors > 0) != c.resident || (s[1].Tensors > 0) != c.mapped || (s[2].Tensors > 0) != c.streamed {
			t.Errorf("%s: %+v", c.name, s)
		}
		if _, ok := m.Streamed(); ok != c.streamed || m.NeedsSource() != (c.streamed || c.mapped) {
			t.Errorf("%s: streamed %v, needs its source %v", c.name, ok, m.NeedsSource())
		}
		if n := m.Needs(); n.Cache == 0 || (n.Weights > 0) != c.resident || (n.Experts > 0) != c.streamed {
			t.Errorf("%s: needs %+v", c.name, n)
		}
		m.Close()
	}
	var small *MemoryError
	for _, o := range []Options{{RAM: base + experts(src, 1)}, {RAM: base + all/2, ExpertRAM: all}} {
		o.Context = 64
		if _, err := Load(file, o); !errors.As(err, &small) || small.Hint() == "" {
			t.Errorf("%+v: %v", o, err)
		}
	}
	m := load(t, file, Options{Context: 64, Layers: true, RAM: 1000, ExpertRAM: 1 << 20})
	if s := m.Ledger().Storage(); s[2].Tensors > 0 || !m.NeedsSource() {
		t.Errorf("read by layers: %+v", s)
	}
	var unmapped *offload.MapError
	if _, err := Load(src, Options{Context: 64, Placement: offload.Options{Map: true}}); !errors.As(err, &unmapped) {
		t.Errorf("a mapped checkpoint: %v", err)
	}
}

// A source that fails in the middle of a text is an error that names the tensor; the session can go on, and nothing is left running.
func TestStreamError(t *testing.T) {
	before := goruntime.NumGoroutine()
	src := &failing{Source: plan(t, deepseekDir, "bf16")}
	m := load(t, src, Options{Context: 64, ExpertRAM: experts(src, 4)})
	s := m.NewSession()
	want := eval(t, s, []int32{1, 2, 3, 4}, WantAll).Logits
	s.Reset()
	src.set("ffn_up_exps")
	if _, err := s.Eval(t.Context(), []int32{5, 6, 7, 8}, WantLast); !errors.Is(err, errDisk) || !strings.Contains(err.Error(), "ffn_up_exps") {
		t.Errorf("%v", err)
	}
	src.set("")
	if got := eval(t, s, []int32{1, 2, 3, 4}, WantAll).Logits; !slices.EqualFunc(got, want, slices.Equal[[]float32]) {
		t.Error("after an error there are other logits")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Eval(ctx, []int32{1}, WantLast); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	for i := 0; goruntime.NumGoroutine() > before; i++ {
		if i > 2000 {
			t.Fatalf("%d goroutines, before there were %d", goruntime.NumGoroutine(), before)
		}
		time.Sleep(time.Millisecond)
	}
}

var errDisk = errors.New("the disk is broken")

// failing is a source in which tensors of some names cannot be read.
type failing struct {
	gguf.Source
	mu   sync.Mutex
	part string
}

func (f *failing) set(part string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.part = part
}

func (f *failing) ReadRows(ctx context.Context, tensor, row, n int, dst []byte) error {
	f.mu.Lock()
	part := f.part
	f.mu.Unlock()
	if name := f.Tensors()[tensor].Name; part != "" && strings.Contains(name, part) {
		return fmt.Errorf("tensor %q: %w", name, errDisk)
	}
	return f.Source.ReadRows(ctx, tensor, row, n, dst)
}

// Sessions at the same time, and importance matrices, are what they are without streaming; a batch reads each expert once.
func TestStreamedTogether(t *testing.T) {
	src := &counted{Source: plan(t, deepseekDir, "bf16")}
	text := strings.Repeat("all that is gold does not glitter, not all those who wander are lost\n", 30)
	resident := load(t, src, Options{Context: 64})
	m := load(t, src, Options{Context: 64, ExpertRAM: experts(src, 3)})
	defer m.Close()
	want := texts(t, resident)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if got := texts(t, m); !slices.EqualFunc(got, want, slices.Equal[[]float32]) {
				t.Error("other logits")
			}
		})
	}
	wg.Wait()
	var all int64
	for _, ti := range src.Tensors() {
		if strings.Contains(ti.Name, "_exps") {
			all += ti.Bytes()
		}
	}
	before := src.n.Load()
	eval(t, m.NewSession(), make([]int32, 60), WantNone)
	if n := src.n.Load() - before; n > all {
		t.Errorf("a batch read %d bytes of %d", n, all)
	}
	cal, err := m.Calibration(text, CalibrationOptions{ChunkSize: 64, Chunks: 3})
	if err != nil {
		t.Fatal(err)
	}
	sums := [2]*imatrix.Sums{imatrix.NewSums(64), imatrix.NewSums(64)}
	for i, m := range []*Model{resident, m} {
		for chunk := range cal.Chunks {
			if err := m.Calibrate(t.Context(), cal, chunk, sums[i], &CalibrationScore{}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if d := compareSums(t, sums[0], sums[1]); d.sum != 0 || d.moved != 0 {
		t.Errorf("other importance: %+v", d)
	}
}
