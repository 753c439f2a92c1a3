package nn

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/moeconv/moeconv/gguf"
)

// model is a source in memory, whose parts tests change.
type model struct {
	md      *gguf.Metadata
	tensors []gguf.TensorInfo
	data    [][]float32 // of F32 tensors
}

func (m *model) Metadata() *gguf.Metadata   { return m.md }
func (m *model) Tensors() []gguf.TensorInfo { return m.tensors }

func (m *model) ReadRows(_ context.Context, tensor, row, n int, dst []byte) error {
	if err := gguf.CheckRows(m.tensors, tensor, row, n, dst); err != nil {
		return err
	}
	if m.tensors[tensor].Type != gguf.F32 {
		return fmt.Errorf("tensor %q has no data", m.tensors[tensor].Name)
	}
	cols := int(m.tensors[tensor].Shape.NE(0))
	for i, v := range m.data[tensor][row*cols : (row+n)*cols] {
		binary.LittleEndian.PutUint32(dst[4*i:], math.Float32bits(v))
	}
	return nil
}

// add appends a tensor of numbers that follow from its name alone, around 0, or 1 for norms and rope factors.
func (m *model) add(name string, scale float64, shape ...int64) {
	t := gguf.TensorInfo{Name: name, Type: gguf.F32, Shape: shape}
	seed := uint32(2166136261)
	for _, c := range []byte(name) {
		seed = (seed ^ uint32(c)) * 16777619
	}
	data := make([]float32, t.Shape.Elements())
	for i := range data {
		seed = seed*1664525 + 1013904223
		data[i] = float32((float64(seed>>8)/(1<<24) - 0.5) * scale)
		if len(shape) == 1 && name[len(name)-4:] != "bias" {
			data[i]++
		}
	}
	m.tensors, m.data = append(m.tensors, t), append(m.data, data)
}

// index is the number of a tensor.
func (m *model) index(t testing.TB, name string) int {
	t.Helper()
	i := gguf.Find(m.tensors, name)
	if i < 0 {
		t.Fatalf("no tensor %q", name)
	}
	return i
}

// remove takes a tensor out.
func (m *model) remove(t testing.TB, name string) {
	i := m.index(t, name)
	m.tensors, m.data = slices.Delete(m.tensors, i, i+1), slices.Delete(m.data, i, i+1)
}

const (
	embd, heads, kvHeads, width, vocab = 64, 4, 2, 96, 50
	headDim                            = embd / heads
)

// newModel has two blocks and everything that all models have, but for the feed-forward networks.
func newModel(arch string) *model {
	m := &model{md: &gguf.Metadata{}}
	m.md.Set("general.architecture", arch)
	for key, v := range map[string]any{
		"block_count": uint32(2), "context_length": uint32(64), "embedding_length": uint32(embd),
		"feed_forward_length": uint32(width), "attention.head_count": uint32(heads), "attention.head_count_kv": uint32(kvHeads),
		"attention.layer_norm_rms_epsilon": float32(1e-5), "rope.dimension_count": uint32(headDim), "rope.freq_base": float32(10000),
		"vocab_size": uint32(vocab),
	} {
		m.md.Set(arch+"."+key, v)
	}
	m.md.Set("tokenizer.ggml.model", "no_vocab")
	m.add("token_embd.weight", 2, embd, vocab)
	m.add("output_norm.weight", 1, embd)
	for b := range 2 {
		p := fmt.Sprintf("blk.%d.", b)
		m.add(p+"attn_norm.weight", 1, embd)
		m.add(p+"ffn_norm.weight", 1, embd)
		m.add(p+"attn_q.weight", 0.7, embd, embd)
		m.add(p+"attn_k.weight", 0.7, embd, kvHeads*headDim)
		m.add(p+"attn_v.weight", 0.7, embd, kvHeads*headDim)
		m.add(p+"attn_output.weight", 0.7, embd, embd)
	}
	return m
}

// denseLlama is a Llama without experts, with all that may come: biases, rope factors, a linear scale, tied output.
func denseLlama() *model {
	m := newModel("llama")
	m.md.Set("llama.rope.scaling.type", "linear")
	m.md.Set("llama.rope.scaling.factor", float32(4))
	m.add("rope_freqs.weight", 1, headDim/2)
	for b := range 2 {
		p := fmt.Sprintf("blk.%d.", b)
		m.add(p+"attn_q.bias", 0.5, embd)
		m.add(p+"attn_k.bias", 0.5, kvHeads*headDim)
		m.add(p+"attn_v.bias", 0.5, kvHeads*headDim)
		m.add(p+"attn_output.bias", 0.5, embd)
		m.add(p+"ffn_gate.weight", 0.7, embd, width)
		m.add(p+"ffn_up.weight", 0.7, embd, width)
		m.add(p+"ffn_down.weight", 0.7, width, embd)
	}
	return m
}

// deepseek has a dense block and one with five experts, of which three are used and scaled, and two shared ones.
func deepseek() *model {
	m := newModel("deepseek")
	for key, v := range map[string]any{
		"expert_count": uint32(5), "expert_used_count": uint32(3), "expert_feed_forward_length": uint32(32),
		"expert_shared_count": uint32(2), "expert_weights_scale": float32(1.5), "leading_dense_block_count": uint32(1),
	} {
		m.md.Set("deepseek."+key, v)
	}
	m.add("output.weight", 0.7, embd, vocab)
	m.add("blk.0.ffn_gate.weight", 0.7, embd, width)
	m.add("blk.0.ffn_up.weight", 0.7, embd, width)
	m.add("blk.0.ffn_down.weight", 0.7, width, embd)
	m.add("blk.1.ffn_gate_inp.weight", 0.7, embd, 5)
	m.add("blk.1.ffn_gate_exps.weight", 0.7, embd, 32, 5)
	m.add("blk.1.ffn_up_exps.weight", 0.7, embd, 32, 5)
	m.add("blk.1.ffn_down_exps.weight", 0.7, 32, embd, 5)
	m.add("blk.1.ffn_gate_shexp.weight", 0.7, embd, 64)
	m.add("blk.1.ffn_up_shexp.weight", 0.7, embd, 64)
	m.add("blk.1.ffn_down_shexp.weight", 0.7, 64, embd)
	return m
}
