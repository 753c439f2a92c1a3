package family

import (
	"fmt"
	"slices"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/gguf/names"
)

// What Qwen3-Next and Qwen3.5 have in common: gated delta nets with gated attention between, in every block a mixture
// of experts beside a shared one, and blocks of multi-token prediction behind the others.

var deltaOnly = []Only{
	{"attention_bias", false, "llama.cpp has no bias of the attention's output in this architecture"},
	{"norm_topk_prob", true, "llama.cpp always renormalises the experts' weights in this architecture"},
	{"decoder_sparse_step", int64(1), "llama.cpp has a mixture of experts in every block of this architecture"},
	{"use_sliding_window", false, "llama.cpp attends to everything in this architecture"},
	{"attn_output_gate", true, "llama.cpp's attention is always gated in this architecture"},
	{"mtp_use_dedicated_embeddings", false, "the blocks of multi-token prediction have no embeddings of their own here"},
}

var deltaRequired = []string{"expert_count", "expert_used_count", "expert_feed_forward_length", "ssm.conv_kernel", "ssm.state_size", "ssm.group_count", "ssm.time_step_rank", "ssm.inner_size"}

// deltaSizes are the sizes of gated delta nets.
var deltaSizes = []string{"linear_conv_kernel_dim", "linear_key_head_dim", "linear_value_head_dim", "linear_num_key_heads", "linear_num_value_heads"}

func checkDelta(c Config) error {
	c.counts("vocab_size", "max_position_embeddings", "num_key_value_heads", "num_hidden_layers", "moe_intermediate_size", "shared_expert_intermediate_size")
	c.counts(deltaSizes...)
	if err := c.checkAttention(); err != nil {
		return err
	}
	if err := c.checkTopK("num_experts"); err != nil {
		return err
	}
	c.CountOr("full_attention_interval", 4)
	c.mtpBlocks()
	c.Has("mamba_ssm_dtype") // the tensors show it
	k, v := c.Count("linear_num_key_heads"), c.Count("linear_num_value_heads")
	if c.Err() == nil && v%k != 0 {
		c.fail("linear_num_value_heads %d is not divisible by linear_num_key_heads %d", v, k)
	}
	if kd, vd := c.Count("linear_key_head_dim"), c.Count("linear_value_head_dim"); c.Err() == nil && kd != vd {
		return &gguf.UnsupportedError{Msg: fmt.Sprintf("config.json: linear_value_head_dim %d is not supported with linear_key_head_dim %d: llama.cpp takes them to be the same", vd, kd)}
	}
	if dense := c.Ints("mlp_only_layers"); len(dense) > 0 {
		return &gguf.UnsupportedError{Msg: fmt.Sprintf("config.json: mlp_only_layers %v is not supported: llama.cpp has a mixture of experts in every block of this architecture", dense)}
	}
	if r := c.deltaRotated(); c.Err() == nil && (r < 2 || r%2 != 0 || r > c.headDim()) {
		c.fail("partial_rotary_factor: %d of %d elements of a head cannot be rotated", r, c.headDim())
	}
	for i, kind := range c.Strings("layer_types") {
		if kind != "linear_attention" && kind != "full_attention" {
			return &gguf.UnsupportedError{Msg: fmt.Sprintf("config.json: layer_types: layer %d is %q, linear_attention and full_attention are supported", i, kind)}
		}
	}
	if n := len(c.Strings("layer_types")); c.Has("layer_types") && int64(n) != c.Count("num_hidden_layers") {
		c.fail("layer_types has %d entries, num_hidden_layers is %d", n, c.Count("num_hidden_layers"))
	}
	return c.checkRopeType("linear", "yarn")
}

// deltaRotated is the number of a head's elements that are rotated.
func (c Config) deltaRotated() int64 {
	factor := 0.25
	if r := c.Rope(); r.Has("partial_rotary_factor") {
		factor = r.Float("partial_rotary_factor")
	}
	return int64(float64(c.headDim()) * factor)
}

// recurrent says of each block whether it is a gated delta net.
func (c Config) recurrent() []bool {
	layers := c.Int("num_hidden_layers")
	out := make([]bool, min(layers+c.mtpBlocks(), maxBlocks))
	kinds, interval := c.Strings("layer_types"), c.CountOr("full_attention_interval", 4)
	for i := range min(layers, int64(len(out))) {
		if c.Err() != nil {
			return nil
		}
		if out[i] = (i+1)%interval != 0; len(kinds) > 0 {
			out[i] = i < int64(len(kinds)) && kinds[i] == "linear_attention"
		}
	}
	return out
}

func deltaKeys(c Config, md *gguf.Metadata) error {
	set := func(key string, n int64) { md.Set(md.ArchKey(key), uint32(n)) }
	set("expert_feed_forward_length", c.Count("moe_intermediate_size"))
	set("expert_shared_feed_forward_length", c.Count("shared_expert_intermediate_size"))
	if n := c.mtpBlocks(); n > 0 {
		set("nextn_predict_layers", n)
	}
	set("ssm.conv_kernel", c.Count("linear_conv_kernel_dim"))
	set("ssm.state_size", c.Count("linear_key_head_dim"))
	set("ssm.group_count", c.Count("linear_num_key_heads"))
	set("ssm.time_step_rank", c.Count("linear_num_value_heads"))
	set("ssm.inner_size", c.Count("linear_value_head_dim")*c.Count("linear_num_value_heads"))
	md.Set(md.ArchKey("attention.recurrent_layers"), c.recurrent())
	interval := int64(4) // where layer_types is made from the interval, the reference forgets the interval
	if c.Has("layer_types") {
		interval = c.CountOr("full_attention_interval", 4)
	}
	set("full_attention_interval", interval)
	set("rope.dimension_count", c.deltaRotated())
	return c.Err()
}

// deltaRules are the tensors of both models' blocks but for the projections into gated delta nets, and all that is around them.
func deltaRules(c Config, linear []Rule) []Rule {
	return slices.Concat([]Rule{
		{"model.embed_tokens.weight", names.TokenEmbd, Copy{}},
		{"model.norm.weight", names.OutputNorm, plusOne},
		{"lm_head.weight", names.OutputWeight, Copy{}},
		{"model.layers.{b}.input_layernorm.weight", names.AttnNorm, plusOne},
		{"model.layers.{b}.post_attention_layernorm.weight", "post_attention_norm", plusOne},
		{"model.layers.{b}.self_attn.q_proj.weight", names.AttnQ, Copy{}},
		{"model.layers.{b}.self_attn.k_proj.weight", names.AttnK, Copy{}},
		{"model.layers.{b}.self_attn.v_proj.weight", names.AttnV, Copy{}},
		{"model.layers.{b}.self_attn.o_proj.weight", names.AttnOutput, Copy{}},
		{"model.layers.{b}.self_attn.q_norm.weight", "attn_q_norm", plusOne},
		{"model.layers.{b}.self_attn.k_norm.weight", "attn_k_norm", plusOne},
		{"model.layers.{b}.linear_attn.norm.weight", "ssm_norm", Copy{}},
		{"model.layers.{b}.mlp.shared_expert_gate.weight", "ffn_gate_inp_shexp", Copy{}},
	}, linear, expertRules(c.Count("num_experts")), fusedExpertRules(c.Count("moe_intermediate_size")), sharedRules("shared_expert"), mtpRules())
}

// decay is what the state of a gated delta net is multiplied by, of its logarithm.
var decay = Map{Func: negExp}

// deltaContract is the contract; linear are a gated delta net's own projections.
func deltaContract(md *gguf.Metadata, linear func(d dims, b int, heads int64) []gguf.TensorInfo) []gguf.TensorInfo {
	d := readDims(md)
	ff, kernel, size, groups, heads := d.key("expert_feed_forward_length"), d.key("ssm.conv_kernel"), d.key("ssm.state_size"), d.key("ssm.group_count"), d.key("ssm.time_step_rank")
	key, value, trunk, ts := size*groups, size*heads, d.blocks-int(d.keyOr("nextn_predict_layers", 0)), d.frame()
	recurrent, listed := gguf.Value[[]bool](md, md.ArchKey("attention.recurrent_layers"))
	interval := int(max(1, d.keyOr("full_attention_interval", 4)))
	for b := range d.blocks {
		net := b < trunk && (b+1)%interval != 0
		if listed == nil {
			net = b < len(recurrent) && recurrent[b]
		}
		ts = append(ts, d.vec(b, names.AttnNorm, d.embd), d.vec(b, "post_attention_norm", d.embd))
		if net {
			ts = append(ts, d.mat(b, "attn_qkv", d.embd, 2*key+value), d.mat(b, "attn_gate", d.embd, value), d.mat(b, "ssm_conv1d", kernel, 2*key+value),
				d.bias(b, "ssm_dt", heads), gguf.TensorInfo{Name: names.Name{Role: "ssm_a", Block: b}.String(), Shape: gguf.Shape{heads}},
				d.vec(b, "ssm_norm", size), d.mat(b, "ssm_out", value, d.embd))
			ts = append(ts, linear(d, b, heads)...)
		} else {
			ts = append(ts, d.mat(b, names.AttnQ, d.embd, 2*d.heads*d.headDim), d.mat(b, names.AttnK, d.embd, d.headsKV*d.headDim), d.mat(b, names.AttnV, d.embd, d.headsKV*d.headDim),
				d.mat(b, names.AttnOutput, d.heads*d.headDim, d.embd), d.vec(b, "attn_q_norm", d.headDim), d.vec(b, "attn_k_norm", d.headDim))
		}
		ts = append(ts, d.experts(b, ff)...)
		ts = append(ts, d.vec(b, "ffn_gate_inp_shexp", d.embd))
		ts = append(ts, d.ffn(b, d.keyOr("expert_shared_feed_forward_length", d.ff), names.FFNGateShexp, names.FFNUpShexp, names.FFNDownShexp)...)
		if b >= trunk {
			ts = append(ts, d.mat(b, "nextn.eh_proj", 2*d.embd, d.embd), d.vec(b, "nextn.enorm", d.embd), d.vec(b, "nextn.hnorm", d.embd), d.vec(b, "nextn.shared_head_norm", d.embd))
		}
	}
	return ts
}
