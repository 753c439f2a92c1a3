package family

import (
	"github.com/moeconv/moeconv/gguf"
)

// DeepSeek-V2 and V3, Kimi-K2, Moonlight: latent attention, whose kv_b is split in two so that files attend as with one
// key-value head. Blocks of multi-token prediction are left out.
func init() {
	register(Family{
		Arch:     "deepseek2",
		Classes:  []string{"DeepseekV2ForCausalLM", "DeepseekV3ForCausalLM"},
		Example:  "deepseek-ai/DeepSeek-V3",
		Only:     deepseek2Only,
		Check:    checkLatent,
		Adjust:   deepseek2Common,
		Keys:     deepseek2Keys,
		Rules:    latentRules,
		Beyond:   func(c Config) int64 { return c.IntOr("num_nextn_predict_layers", 1) }, // as transformers has it where nothing is said
		Contract: latentContract,
		Required: latentRequired,
		Optional: latentOptional,
		Vocab:    []string{"gpt2", "kimi"},
		Pre:      []string{"deepseek-v3", "deepseek-llm"},
		Graph:    &Graph{Rope: RopeNorm, Tune: Tuning{FromFile: true}, Gate: Softmax, FromFile: KeyedRouting},
	})
}

var deepseek2Only = []Only{
	{"moe_layer_freq", int64(1), "every block after the dense ones must be a mixture of experts"},
	{"attention_bias", false, "llama.cpp has no attention biases for this architecture"},
	{"mlp_bias", false, ""},
	{"rope_interleave", true, "llama.cpp rotates neighbours in this architecture"},
	{"sliding_window", nil, ""},
}

// deepseek2Common is the config as the reference's common keys see it: one key-value head, and what transformers fills in.
func deepseek2Common(c Config) Config {
	c = deepseek2Filled(c).WithInt("num_key_value_heads", 1)
	switch c.StringOr("model_type", "") {
	case "deepseek_v2", "deepseek_v3", "mistral4": // transformers calls the rotated part head_dim; the keys this makes get other values later
		c = c.WithInt("head_dim", c.Int("qk_rope_head_dim"))
	}
	return c
}

// deepseek2Defaults are what transformers has for the types of models it knows; of others config.json says all.
var deepseek2Defaults = map[string]defaults{
	"deepseek_v3":   {"n_group": "8", "topk_group": "4", "norm_topk_prob": "true", "routed_scaling_factor": "2.5"},
	"deepseek_v2":   {"routed_scaling_factor": "1.0"},
	"mistral4":      {"n_group": "1", "topk_group": "1", "norm_topk_prob": "true", "routed_scaling_factor": "1.0"},
	"glm4_moe_lite": {"n_group": "1", "topk_group": "1", "norm_topk_prob": "true", "routed_scaling_factor": "1.8", "rms_norm_eps": "1e-5"},
}

// deepseek2Filled is the config with the fields that are missing.
func deepseek2Filled(c Config) Config {
	if missing, known := deepseek2Defaults[c.StringOr("model_type", "")]; known {
		c = missing.fill(c).withTheta("10000.0")
	}
	return defaults{"rms_norm_eps": "1e-6"}.fill(c)
}

func deepseek2Keys(c Config, md *gguf.Metadata) error {
	c = deepseek2Filled(c)
	set := func(key string, v any) { md.Set(md.ArchKey(key), v) }
	count := func(key, field string) { set(key, uint32(c.Count(field))) }
	set("leading_dense_block_count", uint32(c.Int("first_k_dense_replace")))
	count("vocab_size", "vocab_size")
	if c.Has("q_lora_rank") {
		count("attention.q_lora_rank", "q_lora_rank")
	}
	rank, nope, rope := c.Count("kv_lora_rank"), c.Count("qk_nope_head_dim"), c.Count("qk_rope_head_dim")
	set("attention.kv_lora_rank", uint32(rank))
	set("attention.key_length", uint32(rank+rope))
	set("attention.value_length", uint32(rank))
	set("attention.key_length_mla", uint32(nope+rope))
	count("attention.value_length_mla", "v_head_dim")
	count("expert_feed_forward_length", "moe_intermediate_size")
	count("expert_count", "n_routed_experts")
	count("expert_shared_count", "n_shared_experts")
	if c.Has("routed_scaling_factor") {
		set("expert_weights_scale", float32(c.Float("routed_scaling_factor")))
	}
	if c.BoolOr("norm_topk_prob", false) {
		set("expert_weights_norm", true)
	}
	set("rope.dimension_count", uint32(rope))
	if r := c.Rope(); r.Has("mscale_all_dim") {
		set("rope.scaling.yarn_log_multiplier", float32(0.1*r.Float("mscale_all_dim"))) // a tenth for historical reasons
	}
	return c.Err()
}
