package family

import (
	"slices"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/gguf/names"
)

// dots.llm1: norms of queries and keys per head, the first blocks dense, then sigmoid-routed experts beside shared ones.
func init() {
	register(Family{
		Arch:     "dots1",
		Classes:  []string{"Dots1ForCausalLM"},
		Example:  "rednote-hilab/dots.llm1.inst",
		Only:     dots1Only,
		Check:    checkDots1,
		Adjust:   dots1Defaults.fillRope,
		Keys:     dots1Keys,
		Rules:    dots1Rules,
		Contract: dots1Contract,
		Required: []string{"feed_forward_length", "expert_count", "expert_used_count", "expert_feed_forward_length", "expert_shared_count", "expert_gating_func"},
		Optional: []names.Role{"exp_probs_b.bias"},
		Pre:      []string{"qwen2"},
		Graph:    &Graph{Rope: RopeNeox, FromFile: KeyedRouting},
	})
}

var dots1Only = []Only{
	{"scoring_func", "sigmoid", "the experts of this architecture are always gated by sigmoid"},
	{"topk_method", "noaux_tc", ""},
	{"moe_layer_freq", int64(1), "llama.cpp has a mixture of experts in every block after the dense ones"},
	{"use_sliding_window", false, "llama.cpp attends to everything in this architecture"},
	{"attention_bias", false, "llama.cpp has no bias of the attention's output in this architecture"},
}

var dots1Defaults = defaults{"rms_norm_eps": "1e-06", "n_group": "1", "topk_group": "1"}

func checkDots1(c Config) error {
	if err := checkQwen(c); err != nil {
		return err
	}
	if err := c.checkTopK("n_routed_experts"); err != nil {
		return err
	}
	if kv := c.Count("num_key_value_heads"); c.Err() == nil && kv != c.Count("num_attention_heads") {
		return &gguf.UnsupportedError{Msg: "config.json: num_key_value_heads is not num_attention_heads: llama.cpp cannot load this architecture with grouped queries"}
	}
	if c.StringOr("scoring_func", "") == "" {
		c.fail("scoring_func is missing: files of this architecture must say how experts are gated, write sigmoid into it")
	}
	c.counts("intermediate_size", "moe_intermediate_size", "n_shared_experts")
	if n := c.IntOr("first_k_dense_replace", 0); c.Err() == nil && n > c.Count("num_hidden_layers") {
		c.fail("first_k_dense_replace %d exceeds num_hidden_layers %d", n, c.Count("num_hidden_layers"))
	}
	return c.checkGroups("n_routed_experts")
}

func dots1Keys(c Config, md *gguf.Metadata) error {
	md.Set(md.ArchKey("expert_feed_forward_length"), uint32(c.Count("moe_intermediate_size")))
	md.Set(md.ArchKey("leading_dense_block_count"), uint32(c.IntOr("first_k_dense_replace", 0)))
	md.Set(md.ArchKey("expert_shared_count"), uint32(c.Count("n_shared_experts")))
	md.Set(md.ArchKey("expert_weights_scale"), float32(defaults{"routed_scaling_factor": "1.0"}.fill(c).Float("routed_scaling_factor")))
	md.Set(md.ArchKey("expert_weights_norm"), c.BoolOr("norm_topk_prob", false))
	return c.Err()
}

func dots1Rules(c Config) []Rule {
	return slices.Concat(decoderRules(names.FFNNorm), qkNormRules(), denseRules(), expertRules(c.Count("n_routed_experts")),
		fusedExpertRules(c.Count("moe_intermediate_size")), sharedRules("shared_experts"),
		[]Rule{{"model.layers.{b}.mlp.gate.e_score_correction.bias", "exp_probs_b", Copy{}}})
}

func dots1Contract(md *gguf.Metadata) []gguf.TensorInfo {
	d := readDims(md)
	dense, ff := d.key("leading_dense_block_count"), d.key("expert_feed_forward_length")
	d.headsKV = d.heads // the loader takes it so
	ts := d.frame()
	for b := range d.blocks {
		ts = append(ts, d.attention(b)...)
		ts = append(ts, d.qkNorms(b)...)
		if int64(b) < dense {
			ts = append(ts, d.ffn(b, d.ff, names.FFNGate, names.FFNUp, names.FFNDown)...)
			continue
		}
		ts = append(ts, d.experts(b, ff)...)
		ts = append(ts, d.bias(b, "exp_probs_b", d.expert))
		ts = append(ts, d.ffn(b, ff*d.key("expert_shared_count"), names.FFNGateShexp, names.FFNUpShexp, names.FFNDownShexp)...)
	}
	return ts
}
