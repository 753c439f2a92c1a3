package nn

import (
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/moeconv/moeconv/gguf"
)

func set(key string, v any) func(*testing.T, *model) {
	return func(_ *testing.T, m *model) { m.md.Set(key, v) }
}

func drop(key string) func(*testing.T, *model) {
	return func(_ *testing.T, m *model) { m.md.Delete(key) }
}

// TestLoadRefuses damages a model in one place each; the message names it.
func TestLoadRefuses(t *testing.T) {
	shape := func(name string, s ...int64) func(*testing.T, *model) {
		return func(t *testing.T, m *model) { m.tensors[m.index(t, name)].Shape = s }
	}
	for _, c := range []struct {
		name   string
		dense  bool
		damage func(*testing.T, *model)
		want   string // part of the message
		unsup  bool   // it is a *gguf.UnsupportedError
	}{
		{"no architecture", false, drop("general.architecture"), "general.architecture", false},
		{"architecture", false, set("general.architecture", "mamba"), `"mamba"`, true},
		{"no block count", false, drop("deepseek.block_count"), "deepseek.block_count", false},
		{"blocks", false, set("deepseek.block_count", uint32(3)), "blk.2.", false},
		{"blocks of nothing", true, set("llama.block_count", uint32(1<<20)), "llama.block_count is 1048576", false},
		{"no blocks", true, set("llama.block_count", uint32(0)), "llama.block_count is 0", false},
		{"negative", true, set("llama.embedding_length", int32(-64)), "llama.embedding_length is -64", false},
		{"huge", true, set("llama.embedding_length", uint64(math.MaxUint64)), "llama.embedding_length", false},
		{"large", true, set("llama.attention.head_count", uint32(1<<24)), "heads", false},
		{"text", true, set("llama.attention.head_count", "four"), "llama.attention.head_count", false},
		{"array", true, set("llama.attention.head_count_kv", []int32{2}), "key-value heads of 1 blocks", false},
		{"negative in array", true, set("llama.attention.head_count_kv", []int32{2, -2}), "llama.attention.head_count_kv is -2", false},
		{"no kv heads", true, set("llama.attention.head_count_kv", []int32{0, 0}), "key-value heads", false},
		{"kv heads", true, set("llama.attention.head_count_kv", uint32(3)), "3 key-value heads", false},
		{"heads", true, set("llama.attention.head_count", uint32(8)), "heads of 8", false},
		{"value length", true, set("llama.attention.value_length", uint32(8)), "attn_v.weight", false},
		{"odd rope", true, set("llama.rope.dimension_count", uint32(7)), "rope over 7", false},
		{"long rope", true, set("llama.rope.dimension_count", uint32(18)), "rope over 18", false},
		{"rope scaling", true, set("llama.rope.scaling.type", "ntk"), "ntk", true},
		{"scale", true, set("llama.rope.scaling.factor", float32(-1)), "llama.rope.scaling.factor is -1", false},
		{"no epsilon", true, drop("llama.attention.layer_norm_rms_epsilon"), "layer_norm_rms_epsilon", false},
		{"epsilon", true, set("llama.attention.layer_norm_rms_epsilon", float32(math.NaN())), "layer_norm_rms_epsilon is NaN", false},
		{"base", true, set("llama.rope.freq_base", float32(math.Inf(1))), "llama.rope.freq_base is +Inf", false},
		{"base's type", true, set("llama.rope.freq_base", "10000"), "llama.rope.freq_base", false},
		{"used", false, set("deepseek.expert_used_count", uint32(6)), "experts used", false},
		{"not used", false, set("deepseek.expert_used_count", uint32(0)), "deepseek.expert_used_count is 0", false},
		{"experts", false, set("deepseek.expert_count", uint32(4)), "blk.1.ffn_gate_inp.weight", false},
		{"scale", false, set("deepseek.expert_weights_scale", float32(math.NaN())), "deepseek.expert_weights_scale", false},
		{"no router", false, func(t *testing.T, m *model) { m.remove(t, "blk.1.ffn_gate_inp.weight") }, "blk.1.ffn_gate_inp.weight", false},
		{"no shared gate", false, func(t *testing.T, m *model) { m.remove(t, "blk.1.ffn_gate_shexp.weight") }, "blk.1.ffn_gate_shexp.weight", false},
		{"missing", true, func(t *testing.T, m *model) { m.remove(t, "blk.1.attn_k.weight") }, `"blk.1.attn_k.weight" is missing`, false},
		{"no embedding", true, func(t *testing.T, m *model) { m.remove(t, "token_embd.weight") }, `"token_embd.weight" is missing`, false},
		{"shape", true, shape("blk.0.attn_v.weight", embd, 31), `"blk.0.attn_v.weight" has shape {64, 31}`, false},
		{"transposed", true, shape("blk.0.ffn_down.weight", embd, width), `"blk.0.ffn_down.weight"`, false},
		{"bias", true, shape("blk.0.attn_q.bias", embd-1), `"blk.0.attn_q.bias"`, false},
		{"zero dimension", true, shape("blk.0.attn_q.bias", 0), `"blk.0.attn_q.bias"`, false},
		{"overflow", true, shape("token_embd.weight", embd, math.MaxInt64/2), `"token_embd.weight"`, false},
		{"extra", true, func(_ *testing.T, m *model) { m.add("blk.0.attn_q_norm.weight", 1, headDim) }, `"blk.0.attn_q_norm.weight" is not part`, false},
		{"extra expert", false, func(_ *testing.T, m *model) { m.add("blk.0.ffn_up_exps.weight", 1, embd, 32, 5) }, `"blk.0.ffn_up_exps.weight"`, false},
		{"twice", true, func(_ *testing.T, m *model) { m.add("output_norm.weight", 1, embd) }, `"output_norm.weight" appears twice`, false},
		{"type", true, func(t *testing.T, m *model) { m.tensors[m.index(t, "blk.0.attn_q.weight")].Type = gguf.I32 }, "I32", true},
		{"unreadable", true, func(t *testing.T, m *model) { m.tensors[m.index(t, "blk.0.attn_q.weight")].Type = gguf.F16 }, `"blk.0.attn_q.weight" has no data`, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := deepseek()
			if c.dense {
				m = denseLlama()
			}
			c.damage(t, m)
			_, err := Load(t.Context(), m, options())
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("error %v, want one with %q", err, c.want)
			}
			var unsupported *gguf.UnsupportedError
			if errors.As(err, &unsupported) != c.unsup {
				t.Errorf("error %v: unsupported is %v", err, !c.unsup)
			}
		})
	}
}

func TestLoadRefusesKV(t *testing.T) {
	o := options()
	o.KV = gguf.Q8_0 // heads are of 16 elements
	if _, err := Load(t.Context(), denseLlama(), o); err == nil || !strings.Contains(err.Error(), "Q8_0") {
		t.Errorf("error %v", err)
	}
}

// TestNotFinite: a broken weight is reported with the first position and the part of the model where it shows.
func TestNotFinite(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for _, c := range []struct {
		tensor   string
		at       int
		value    float32
		position int
		where    string
	}{
		{"token_embd.weight", 15*embd + 7, nan, 3, "the embedding"}, // ids[3] is 15
		{"token_embd.weight", 41*embd + 7, inf, 23, "the embedding"},
		{"blk.0.attn_v.weight", 5, nan, 0, "block 0"},
		{"blk.0.attn_norm.weight", 5, inf, 0, "block 0"},
		{"blk.1.ffn_gate_inp.weight", 5, nan, 0, "block 1"},
		{"blk.1.ffn_down_shexp.weight", 9, inf, 0, "block 1"},
		{"output_norm.weight", 0, nan, 0, "the logits"},
		{"output.weight", 77, nan, 0, "the logits"},
	} {
		m := deepseek()
		m.data[m.index(t, c.tensor)][c.at] = c.value
		d, err := Load(t.Context(), m, options())
		if err != nil {
			t.Fatal(err)
		}
		s := d.NewState()
		_, err = s.Eval(t.Context(), ids, 0, false)
		var number *Number
		if !errors.As(err, &number) || number.Position != c.position || number.Where != c.where {
			t.Errorf("%v in %s: error %v, want position %d of %s", c.value, c.tensor, err, c.position, c.where)
		}
		if s.Len() != 0 {
			t.Errorf("%s: the text has %d tokens after the error", c.tensor, s.Len())
		}
	}
}

// TestTop: the largest, first of equals, without repetition, of any numbers.
func TestTop(t *testing.T) {
	nan := float32(math.NaN())
	for _, c := range []struct {
		values []float32
		want   []int
	}{
		{[]float32{1, 3, 2}, []int{1, 2, 0}},
		{[]float32{2, 2, 2, 3}, []int{3, 0, 1}},
		{[]float32{nan, nan, nan}, []int{0, 1}},
		{[]float32{5}, []int{0}},
	} {
		got := make([]int, len(c.want))
		top(c.values, got)
		for i := range got {
			if got[i] != c.want[i] {
				t.Errorf("top %d of %v: %v, want %v", len(got), c.values, got, c.want)
			}
		}
	}
}

// TestWorkers: each task runs once, whatever their numbers.
func TestWorkers(t *testing.T) {
	for _, n := range []int{1, 2, 5} {
		for _, tasks := range []int{0, 1, 4, 33} {
			ran := make([]int, tasks)
			workers{n}.run(tasks, func(worker, i int) {
				if worker < 0 || worker >= n {
					panic("worker's number")
				}
				ran[i]++
			})
			seen := make([]int, tasks)
			workers{n}.rows(tasks, 1<<20, func(_, lo, hi int) {
				for i := lo; i < hi; i++ {
					seen[i]++
				}
			})
			for i := range tasks {
				if ran[i] != 1 || seen[i] != 1 {
					t.Errorf("%d workers: task %d of %d ran %d and %d times", n, i, tasks, ran[i], seen[i])
				}
			}
		}
	}
	wrong := errors.New("wrong")
	err := workers{3}.runErr(9, func(_, i int) error {
		if i >= 4 {
			return wrong
		}
		return nil
	})
	if err != wrong {
		t.Errorf("error %v", err)
	}
}
