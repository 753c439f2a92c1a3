package family

import (
	"fmt"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/gguf/names"
)

// DeepSeek-MoE (v1): the first blocks dense, then softmax-routed experts beside shared ones.
func init() {
	register(Family{
		Arch:     "deepseek",
		Classes:  []string{"DeepseekForCausalLM"},
		Example:  "deepseek-ai/deepseek-moe-16b-base",
		Only:     deepseekOnly,
		Check:    checkDeepseek,
		Keys:     deepseekKeys,
		Rules:    deepseekRules,
		Contract: deepseekContract,
		Required: []string{"feed_forward_length", "expert_count", "expert_used_count", "expert_feed_forward_length", "expert_shared_count", "leading_dense_block_count"},
		Optional: []names.Role{names.OutputWeight},
		Vocab:    []string{"sentencepiece", "gpt2"},
		Pre:      []string{"deepseek-llm"},
		Graph:    &Graph{Rope: RopeNorm, Gate: Softmax, FromFile: KeyedScale},
	})
}

var deepseekOnly = []Only{
	{"norm_topk_prob", false, "llama.cpp never renormalises the experts' weights for this architecture, so the output would be wrong"},
	{"moe_layer_freq", int64(1), "every block after the dense ones must be a mixture of experts"},
	{"scoring_func", "softmax", "llama.cpp always uses softmax for this architecture"},
	{"attention_bias", false, "llama.cpp has no attention biases for this architecture"},
	{"mlp_bias", false, ""},
	{"routed_scaling_factor", int64(1), "the experts' weights are not scaled in this architecture"},
	{"topk_method", "greedy", ""},
	{"n_group", int64(1), "experts are not grouped in this architecture"},
	{"q_lora_rank", nil, "latent attention belongs to DeepSeek-V2"},
	{"kv_lora_rank", nil, "latent attention belongs to DeepSeek-V2"},
	{"sliding_window", nil, ""},
}

func checkDeepseek(c Config) error {
	if err := c.checkAttention(); err != nil {
		return err
	}
	if d, h := c.headDim(), c.Count("num_attention_heads"); d*h != c.Count("hidden_size") {
		return fmt.Errorf("config.json: head_dim %d times num_attention_heads %d is not hidden_size %d, as this architecture needs", d, h, c.Count("hidden_size"))
	}
	if err := c.checkTopK("n_routed_experts"); err != nil {
		return err
	}
	for _, key := range []string{"vocab_size", "intermediate_size", "moe_intermediate_size", "max_position_embeddings"} {
		c.Count(key)
	}
	c.Int("first_k_dense_replace")
	if c.Float("rms_norm_eps"); c.Err() != nil {
		return c.Err()
	}
	if !c.Has("n_shared_experts") || c.Int("n_shared_experts") == 0 {
		if err := c.Err(); err != nil {
			return err
		}
		return &gguf.UnsupportedError{Msg: "config.json: n_shared_experts is null, 0 or missing: llama.cpp cannot load this architecture without shared experts"}
	}
	return c.checkNoRopeScaling("DeepseekForCausalLM")
}

func deepseekKeys(c Config, md *gguf.Metadata) error {
	md.Set(md.ArchKey("rope.dimension_count"), uint32(c.headDim()))
	md.Set(md.ArchKey("rope.scaling.type"), "none")
	md.Set(md.ArchKey("leading_dense_block_count"), uint32(c.Int("first_k_dense_replace")))
	md.Set(md.ArchKey("vocab_size"), uint32(c.Count("vocab_size")))
	md.Set(md.ArchKey("expert_feed_forward_length"), uint32(c.Count("moe_intermediate_size")))
	md.Set(md.ArchKey("expert_weights_scale"), float32(1))
	md.Set(md.ArchKey("expert_count"), uint32(c.Count("n_routed_experts")))
	md.Set(md.ArchKey("expert_shared_count"), uint32(c.Count("n_shared_experts")))
	return c.Err()
}

func deepseekRules(c Config) []Rule {
	heads := c.Count("num_attention_heads")
	kv := c.CountOr("num_key_value_heads", heads)
	stack := Stack{Experts: c.Count("n_routed_experts"), Group: "experts"}
	return []Rule{
		{"model.embed_tokens.weight", names.TokenEmbd, Copy{}},
		{"model.norm.weight", names.OutputNorm, Copy{}},
		{"lm_head.weight", names.OutputWeight, Copy{}},
		{"model.layers.{b}.input_layernorm.weight", names.AttnNorm, Copy{}},
		{"model.layers.{b}.post_attention_layernorm.weight", names.FFNNorm, Copy{}},
		{"model.layers.{b}.self_attn.q_proj.weight", names.AttnQ, PermuteRope{Heads: heads}},
		{"model.layers.{b}.self_attn.k_proj.weight", names.AttnK, PermuteRope{Heads: kv}},
		{"model.layers.{b}.self_attn.v_proj.weight", names.AttnV, Copy{}},
		{"model.layers.{b}.self_attn.o_proj.weight", names.AttnOutput, Copy{}},
		{"model.layers.{b}.self_attn.rotary_emb.inv_freq", "", Drop{}},
		{"model.layers.{b}.mlp.gate_proj.weight", names.FFNGate, Copy{}},
		{"model.layers.{b}.mlp.up_proj.weight", names.FFNUp, Copy{}},
		{"model.layers.{b}.mlp.down_proj.weight", names.FFNDown, Copy{}},
		{"model.layers.{b}.mlp.gate.weight", names.FFNGateInp, Copy{}},
		{"model.layers.{b}.mlp.experts.{x}.down_proj.weight", names.FFNDownExps, stack},
		{"model.layers.{b}.mlp.experts.{x}.gate_proj.weight", names.FFNGateExps, stack},
		{"model.layers.{b}.mlp.experts.{x}.up_proj.weight", names.FFNUpExps, stack},
		{"model.layers.{b}.mlp.shared_experts.gate_proj.weight", names.FFNGateShexp, Copy{}},
		{"model.layers.{b}.mlp.shared_experts.up_proj.weight", names.FFNUpShexp, Copy{}},
		{"model.layers.{b}.mlp.shared_experts.down_proj.weight", names.FFNDownShexp, Copy{}},
	}
}

func deepseekContract(md *gguf.Metadata) []gguf.TensorInfo {
	d := readDims(md)
	dense, ffExp, shared := d.key("leading_dense_block_count"), d.key("expert_feed_forward_length"), d.key("expert_shared_count")
	ts := d.frame()
	for b := range d.blocks {
		ts = append(ts, d.attention(b)...)
		if int64(b) < dense {
			ts = append(ts, d.ffn(b, d.ff, names.FFNGate, names.FFNUp, names.FFNDown)...)
			continue
		}
		ts = append(ts, d.experts(b, ffExp)...)
		ts = append(ts, d.ffn(b, ffExp*shared, names.FFNGateShexp, names.FFNUpShexp, names.FFNDownShexp)...)
	}
	return ts
}
