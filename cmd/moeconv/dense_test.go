package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moeconv/moeconv/convert"
	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/testdata"
)

// dense is a small Llama without experts, of numbers that follow from their places, with the vocabulary of the trained model.
type dense struct {
	md      *gguf.Metadata
	tensors []gguf.TensorInfo
}

func (d *dense) Metadata() *gguf.Metadata   { return d.md }
func (d *dense) Tensors() []gguf.TensorInfo { return d.tensors }

func (d *dense) ReadRows(_ context.Context, tensor, row, n int, dst []byte) error {
	for i := range len(dst) / 4 {
		v := math.Sin(float64(len(dst)/n/4*row+i)*1.7 + float64(tensor))
		binary.LittleEndian.PutUint32(dst[4*i:], math.Float32bits(float32(v)))
	}
	return nil
}

func newDense(t *testing.T) string {
	t.Helper()
	p, err := convert.NewPlan(os.DirFS(testdata.Path("tiny/tiny-moe-go")), convert.Options{OutType: "f32", Name: "dense"})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	d := &dense{md: &gguf.Metadata{}}
	d.md.Set("general.architecture", "llama")
	for key, v := range p.Metadata().All() {
		if strings.HasPrefix(key, "tokenizer.") {
			d.md.Set(key, v)
		}
	}
	for key, v := range map[string]any{"block_count": uint32(1), "context_length": uint32(64), "embedding_length": uint32(32),
		"feed_forward_length": uint32(48), "attention.head_count": uint32(2), "rope.dimension_count": uint32(16),
		"attention.layer_norm_rms_epsilon": float32(1e-5)} {
		d.md.Set("llama."+key, v)
	}
	add := func(name string, shape ...int64) {
		d.tensors = append(d.tensors, gguf.TensorInfo{Name: name + ".weight", Type: gguf.F32, Shape: shape})
	}
	vocabulary, err := gguf.Value[[]string](d.md, "tokenizer.ggml.tokens")
	if err != nil {
		t.Fatal(err)
	}
	add("token_embd", 32, int64(len(vocabulary)))
	for _, name := range []string{"output_norm", "blk.0.attn_norm", "blk.0.ffn_norm"} {
		add(name, 32)
	}
	for _, name := range []string{"attn_q", "attn_k", "attn_v", "attn_output"} {
		add("blk.0."+name, 32, 32)
	}
	add("blk.0.ffn_gate", 32, 48)
	add("blk.0.ffn_up", 32, 48)
	add("blk.0.ffn_down", 48, 32)
	name := filepath.Join(t.TempDir(), "dense.gguf")
	if _, err := gguf.WriteFile(t.Context(), name, d, gguf.FileOptions{}); err != nil {
		t.Fatal(err)
	}
	return name
}

// Flags about experts and memory, of a model that has no experts.
func TestDense(t *testing.T) {
	src := newDense(t)
	for _, c := range []struct {
		flags  string
		status int
		says   string
	}{
		{"--cpu-moe", 0, "0 expert tensors matched: the model has no routed experts"},
		{"--n-cpu-moe 1", 0, "0 expert tensors matched in the first 1 layers: the model has no routed experts"},
		{"--cpu-moe --n-cpu-moe 1", exitUsage, "the argument '--cpu-moe' cannot be used with '--n-cpu-moe <N>'"},
		{"--cpu-moe --n-cpu-moe 0", exitUsage, "the argument '--cpu-moe' cannot be used with '--n-cpu-moe <N>'"},
		{"--expert-ram 1M", exitError, "no routed experts to stream"},
		{"--ram 1M", exitError, "MiB of memory are needed at least"},
		{"--mmap --ram 1G", 0, "offload: mapped: 11 tensors"},
		{"", 0, "ended by length"},
	} {
		var out, diag bytes.Buffer
		args := append([]string{"generate", src, "--tokens", "1,2,3", "-n", "2", "--ignore-eos"}, strings.Fields(c.flags)...)
		if status := run(args, &out, &diag); status != c.status || !strings.Contains(diag.String(), c.says) {
			t.Errorf("%s: status %d, want %d and %q:\n%s", c.flags, status, c.status, c.says, diag.String())
		}
	}
}
