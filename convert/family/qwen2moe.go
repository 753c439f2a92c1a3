package family

import (
	"fmt"
	"slices"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/gguf/names"
)

// Qwen1.5-MoE and Qwen2-MoE: biased attention, softmax-routed experts whose weights are not renormalised, and a
// shared expert with a gate of its own.
func init() {
	register(Family{
		Arch:     "qwen2moe",
		Classes:  []string{"Qwen2MoeForCausalLM"},
		Example:  "Qwen/Qwen1.5-MoE-A2.7B-Chat",
		Only:     append([]Only{{"norm_topk_prob", false, "llama.cpp never renormalises the experts' weights for this architecture"}}, qwenOnly...),
		Check:    checkQwen2Moe,
		Adjust:   qwenDefaults.fillRope,
		Keys:     qwen2MoeKeys,
		Rules:    qwen2MoeRules,
		Contract: qwen2MoeContract,
		Required: []string{"feed_forward_length", "expert_count", "expert_used_count", "expert_feed_forward_length"},
		Optional: qkvBiases,
		Pre:      []string{"qwen2"},
		Graph:    &Graph{Rope: RopeNeox, Gate: Softmax},
	})
}

// qwenOnly are fields that llama.cpp ignores for all Qwen models.
var qwenOnly = []Only{
	{"use_sliding_window", false, "llama.cpp attends to everything in this architecture"},
	{"decoder_sparse_step", int64(1), "llama.cpp has a mixture of experts in every block of this architecture"},
}

var qwenDefaults = defaults{"rms_norm_eps": "1e-06"}

// qkvBiases are the biases of attention that checkpoints may have or lack.
var qkvBiases = []names.Role{"attn_q.bias", "attn_k.bias", "attn_v.bias"}

// checkQwen holds what the Qwen models have in common against what llama.cpp takes for granted.
func checkQwen(c Config) error {
	if err := c.checkAttention(); err != nil {
		return err
	}
	c.counts("vocab_size", "max_position_embeddings", "num_key_value_heads", "num_hidden_layers")
	for _, key := range []string{"sliding_window", "max_window_layers", "qkv_bias"} {
		c.Has(key) // of no effect without a sliding window, or to be seen by the tensors
	}
	if dense := c.Ints("mlp_only_layers"); len(dense) > 0 {
		return &gguf.UnsupportedError{Msg: fmt.Sprintf("config.json: mlp_only_layers %v is not supported: llama.cpp has a mixture of experts in every block of this architecture", dense)}
	}
	if err := c.checkRopeType("linear", "yarn"); err != nil {
		return err
	}
	return c.checkLayerTypes(func(int) string { return "full_attention" })
}

// checkWideHeads holds the heads against hidden_size, for architectures whose attention is as wide as the model.
func (c Config) checkWideHeads() error {
	d, heads, hidden := c.headDim(), c.Count("num_attention_heads"), c.Count("hidden_size")
	if c.Err() == nil && d*heads != hidden {
		return fmt.Errorf("config.json: head_dim %d times num_attention_heads %d is not hidden_size %d, as this architecture needs", d, heads, hidden)
	}
	return c.Err()
}

func checkQwen2Moe(c Config) error {
	if err := checkQwen(c); err != nil {
		return err
	}
	if err := c.checkTopK("num_experts"); err != nil {
		return err
	}
	c.counts("intermediate_size", "moe_intermediate_size", "shared_expert_intermediate_size")
	return c.checkWideHeads()
}

func qwen2MoeKeys(c Config, md *gguf.Metadata) error {
	md.Set(md.ArchKey("expert_feed_forward_length"), uint32(c.Count("moe_intermediate_size")))
	if c.Has("shared_expert_intermediate_size") {
		md.Set(md.ArchKey("expert_shared_feed_forward_length"), uint32(c.Count("shared_expert_intermediate_size")))
	}
	return c.Err()
}

func qwen2MoeRules(c Config) []Rule {
	return slices.Concat(decoderRules(names.FFNNorm), expertRules(c.Count("num_experts")), fusedExpertRules(c.Count("moe_intermediate_size")),
		sharedRules("shared_expert"), []Rule{{"model.layers.{b}.mlp.shared_expert_gate.weight", "ffn_gate_inp_shexp", Copy{}}})
}

func qwen2MoeContract(md *gguf.Metadata) []gguf.TensorInfo {
	d := readDims(md)
	ff, shared := d.key("expert_feed_forward_length"), d.keyOr("expert_shared_feed_forward_length", d.ff)
	ts := d.frame()
	for b := range d.blocks {
		ts = append(ts, d.attention(b)...)
		ts = append(ts, d.qkvBias(b)...)
		ts = append(ts, d.experts(b, ff)...)
		ts = append(ts, d.vec(b, "ffn_gate_inp_shexp", d.embd))
		ts = append(ts, d.ffn(b, shared, names.FFNGateShexp, names.FFNUpShexp, names.FFNDownShexp)...)
	}
	return ts
}

// qkvBias are the biases of a block's queries, keys and values.
func (d dims) qkvBias(b int) []gguf.TensorInfo {
	q, kv := d.heads*d.headDim, d.headsKV*d.headDim
	return []gguf.TensorInfo{d.bias(b, names.AttnQ, q), d.bias(b, names.AttnK, kv), d.bias(b, names.AttnV, kv)}
}
