package family

import (
	"fmt"
	"slices"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/gguf/names"
)

// Gemma 4 (its text part): sliding windows with smaller heads between blocks that attend to everything; beside each
// block's feed-forward network, in the MoE models, softmax-routed experts with scales of their own.
func init() {
	register(Family{
		Arch:     "gemma4",
		Classes:  []string{"Gemma4ForConditionalGeneration", "Gemma4ForCausalLM"},
		Example:  "google/gemma-4-26B-A4B-it",
		Only:     gemma4Only,
		Check:    checkGemma4,
		Adjust:   gemma4Defaults.fill,
		Keys:     gemma4Keys,
		Rules:    gemma4Rules,
		Computed: func(c Config) []Computed { return proportionalRope(c, gemma4Defaults.fill(c).Count("global_head_dim")) },
		Contract: gemma4Contract,
		Required: []string{"feed_forward_length", "attention.sliding_window", "attention.key_length_swa", "attention.value_length_swa", "embedding_length_per_layer_input"},
		Optional: []names.Role{names.OutputWeight, names.AttnV, "layer_output_scale", "ffn_down_exps.scale"},
		Vocab:    []string{"gemma4"},
		Graph:    &Graph{Rope: RopeNeox, EmbedScale: true, Windows: Windows{Kind: WindowSliding}, NormValues: true, Unscaled: true, Act: GELU, Gate: Softmax, NormalizeWeights: true},
	})
}

var gemma4Only = []Only{
	{"hidden_activation", "gelu_pytorch_tanh", ""},
	{"attention_bias", false, ""},
	{"attn_logit_softcapping", nil, ""},
	{"num_kv_shared_layers", int64(0), "blocks that share keys and values are not implemented"},
	{"hidden_size_per_layer_input", int64(0), "embeddings for each layer are not implemented"},
	{"use_double_wide_mlp", false, ""},
	{"use_bidirectional_attention", "vision", "text is always causal"},
}

// gemma4Defaults are those of the class in transformers, through which the reference reads config.json.
var gemma4Defaults = defaults{"hidden_size_per_layer_input": "256", "num_key_value_heads": "4", "head_dim": "256", "global_head_dim": "512", "sliding_window": "512",
	"rms_norm_eps": "1e-06", "max_position_embeddings": "131072"}

func checkGemma4(c Config) error {
	c = gemma4Defaults.fill(c)
	if err := c.checkAttention(); err != nil {
		return err
	}
	c.counts("vocab_size", "intermediate_size", "max_position_embeddings", "global_head_dim", "sliding_window", "num_hidden_layers")
	c.Float("rms_norm_eps")
	if experts := c.IntOr("num_experts", 0); c.BoolOr("enable_moe_block", false) != (experts > 0) {
		c.fail("enable_moe_block is %s, num_experts %d", show(c.Raw("enable_moe_block")), experts)
	} else if experts > 0 && c.Count("moe_intermediate_size") > 0 && c.Count("top_k_experts") > experts {
		c.fail("top_k_experts %d exceeds num_experts %d", c.Count("top_k_experts"), experts)
	}
	if heads, kv := c.Count("num_attention_heads"), c.gemma4GlobalKV(); c.Err() == nil && heads%kv != 0 {
		c.fail("num_attention_heads %d is not divisible by num_global_key_value_heads %d", heads, kv)
	}
	if err := c.checkLayerKinds("sliding_attention", "full_attention"); err != nil {
		return err
	}
	if n := c.Int("hidden_size_per_layer_input"); c.Err() == nil && n != 0 {
		return &gguf.UnsupportedError{Msg: fmt.Sprintf("config.json: hidden_size_per_layer_input is missing, which means %d: embeddings for each layer are not implemented", n)}
	}
	return c.checkProportionalRope()
}

// gemma4GlobalKV is the number of key-value heads in blocks that attend to everything.
func (c Config) gemma4GlobalKV() int64 {
	if c.BoolOr("attention_k_eq_v", false) && c.Has("num_global_key_value_heads") {
		return c.Count("num_global_key_value_heads")
	}
	return c.Count("num_key_value_heads")
}

func gemma4Keys(c Config, md *gguf.Metadata) error {
	c = gemma4Defaults.fill(c)
	set := func(key string, v any) { md.Set(md.ArchKey(key), v) }
	kinds := c.Strings("layer_types")
	sliding, kv := make([]bool, len(kinds)), make([]int32, len(kinds))
	for i, kind := range kinds {
		sliding[i] = kind == "sliding_attention" && i < len(kinds)-1 // the last one attends to everything, whatever is said
		if kv[i] = int32(c.gemma4GlobalKV()); sliding[i] {
			kv[i] = int32(c.Count("num_key_value_heads"))
		}
	}
	full, window := uint32(c.Count("global_head_dim")), uint32(c.Count("head_dim"))
	if c.Has("final_logit_softcapping") && c.Float("final_logit_softcapping") != 0 {
		set("final_logit_softcapping", float32(c.Float("final_logit_softcapping")))
	}
	set("attention.sliding_window", uint32(c.Count("sliding_window")))
	set("attention.shared_kv_layers", uint32(c.IntOr("num_kv_shared_layers", 0)))
	set("embedding_length_per_layer_input", uint32(c.Int("hidden_size_per_layer_input")))
	set("attention.sliding_window_pattern", sliding)
	set("attention.key_length", full)
	set("attention.value_length", full)
	set("attention.key_length_swa", window)
	set("attention.value_length_swa", window)
	if c.Has("moe_intermediate_size") {
		set("expert_feed_forward_length", uint32(c.Count("moe_intermediate_size")))
	}
	if c.BoolOr("attention_k_eq_v", false) && c.Has("num_global_key_value_heads") {
		set("attention.head_count_kv", kv)
	}
	set("rope.dimension_count", full)
	set("rope.dimension_count_swa", window)
	return c.Err()
}

func gemma4Rules(Config) []Rule {
	return slices.Concat(decoderRules("post_attention_norm"), qkNormRules(), denseRules(), []Rule{
		{"model.layers.{b}.pre_feedforward_layernorm.weight", names.FFNNorm, Copy{}},
		{"model.layers.{b}.post_feedforward_layernorm.weight", "post_ffw_norm", Copy{}},
		{"model.layers.{b}.pre_feedforward_layernorm_2.weight", "pre_ffw_norm_2", Copy{}},
		{"model.layers.{b}.post_feedforward_layernorm_1.weight", "post_ffw_norm_1", Copy{}},
		{"model.layers.{b}.post_feedforward_layernorm_2.weight", "post_ffw_norm_2", Copy{}},
		{"model.layers.{b}.layer_scalar", "layer_output_scale", Copy{}},
		{"model.layers.{b}.router.proj.weight", names.FFNGateInp, Copy{}},
		{"model.layers.{b}.router.scale", names.FFNGateInp, As{"scale", Copy{}}},
		{"model.layers.{b}.router.per_expert_scale", names.FFNDownExps, As{"scale", Copy{}}},
		{"model.layers.{b}.experts.gate_up_proj", names.FFNGateUpExps, Copy{}},
		{"model.layers.{b}.experts.down_proj", names.FFNDownExps, Copy{}},
	})
}

func gemma4Contract(md *gguf.Metadata) []gguf.TensorInfo {
	d := readDims(md)
	pattern, _ := gguf.Value[[]bool](md, md.ArchKey("attention.sliding_window_pattern"))
	full, window, ff := d.headDim, d.key("attention.key_length_swa"), d.keyOr("expert_feed_forward_length", 0)
	ts := append(d.frame(), gguf.TensorInfo{Name: names.RopeFreqs.Weight(), Shape: gguf.Shape{full / 2}})
	for b := range d.blocks {
		d.headDim, d.headsKV = full, d.at("attention.head_count_kv", b)
		if b < len(pattern) && pattern[b] {
			d.headDim = window
		}
		ts = append(ts, append(d.attention(b), d.ffn(b, d.ff, names.FFNGate, names.FFNUp, names.FFNDown)...)...)
		ts = append(ts, d.vec(b, "attn_q_norm", d.headDim), d.vec(b, "attn_k_norm", d.headDim), d.vec(b, "post_attention_norm", d.embd), d.vec(b, "post_ffw_norm", d.embd), d.vec(b, "layer_output_scale", 1))
		if d.expert > 0 {
			ts = append(ts, d.mat(b, names.FFNGateInp, d.embd, d.expert), d.scale(b, names.FFNGateInp, d.embd), d.scale(b, names.FFNDownExps, d.expert),
				d.vec(b, "pre_ffw_norm_2", d.embd), d.vec(b, "post_ffw_norm_1", d.embd), d.vec(b, "post_ffw_norm_2", d.embd),
				d.cube(b, names.FFNGateUpExps, d.embd, 2*ff), d.cube(b, names.FFNDownExps, ff, d.embd))
		}
	}
	return ts
}
