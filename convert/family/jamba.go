package family

import (
	"fmt"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/gguf/names"
)

// Jamba: Mamba with attention in every so many blocks, and in every so many softmax-routed experts in place of one feed-forward network.
func init() {
	register(Family{
		Arch:     "jamba",
		Classes:  []string{"JambaForCausalLM"},
		Example:  "ai21labs/Jamba-v0.1",
		Only:     jambaOnly,
		Check:    checkJamba,
		Common:   jambaKeys,
		Keys:     func(c Config, _ *gguf.Metadata) error { return c.Err() },
		Rules:    jambaRules,
		Contract: jambaContract,
		Required: []string{"feed_forward_length", "expert_count", "expert_used_count", "ssm.conv_kernel", "ssm.inner_size", "ssm.state_size", "ssm.time_step_rank"},
		// A block's feed-forward network is one of two kinds, and no key says which.
		Optional: []names.Role{names.OutputWeight, names.FFNGate, names.FFNUp, names.FFNDown, names.FFNGateInp, names.FFNGateExps, names.FFNUpExps, names.FFNDownExps},
		Vocab:    []string{"jamba"},
		Graph:    &Graph{Rope: RopeNone, Gate: Softmax},
	})
}

var jambaOnly = []Only{
	{"mamba_expand", int64(2), "llama.cpp needs an inner size of twice the hidden size"},
	{"mamba_conv_bias", true, "llama.cpp needs a bias of the convolution in this architecture"},
	{"mamba_proj_bias", false, "llama.cpp has no biases of the projections in this architecture"},
	{"sliding_window", nil, "llama.cpp attends to everything in this architecture"},
	{"head_dim", nil, "the heads share the hidden size in this architecture"},
}

func checkJamba(c Config) error {
	if err := c.checkAttention(); err != nil {
		return err
	}
	if err := c.checkTopK("num_experts"); err != nil {
		return err
	}
	c.counts("vocab_size", "intermediate_size", "max_position_embeddings", "num_hidden_layers", "num_key_value_heads", "attn_layer_period", "expert_layer_period")
	c.Float("rms_norm_eps")
	c.IntOr("num_logits_to_keep", 0) // of the model's own code
	jambaRank(c)
	for _, kind := range []string{"attn", "expert"} {
		offset, period := c.Int(kind+"_layer_offset"), c.Count(kind+"_layer_period")
		if c.Err() == nil && offset >= period {
			return fmt.Errorf("config.json: %s_layer_offset %d must be smaller than %s_layer_period %d", kind, offset, kind, period)
		}
	}
	return c.Err()
}

// jambaRank is the rank of the time step's projection: a number, or auto for a sixteenth of the hidden size.
func jambaRank(c Config) int64 {
	if v := c.Raw("mamba_dt_rank"); c.Has("mamba_dt_rank") && v != "auto" {
		return c.Count("mamba_dt_rank")
	}
	return (c.Count("hidden_size") + 15) / 16
}

func jambaKernel(c Config) int64 { return c.CountOr("mamba_d_conv", 4) }

// jambaKeys writes all keys: the reference has an order of its own for this family, and no rotary embedding.
func jambaKeys(c Config, md *gguf.Metadata) {
	layers, offset, period := c.Count("num_hidden_layers"), c.Int("attn_layer_offset"), c.Count("attn_layer_period")
	kv := make([]int32, min(layers, maxBlocks))
	for i := range kv {
		if c.Err() == nil && int64(i)%period == offset {
			kv[i] = int32(c.Count("num_key_value_heads"))
		}
	}
	u32 := func(key string, n int64) { md.Set(md.ArchKey(key), uint32(n)) }
	u32("block_count", layers)
	u32("context_length", c.Count("max_position_embeddings"))
	u32("embedding_length", c.Count("hidden_size"))
	u32("feed_forward_length", c.Count("intermediate_size"))
	u32("attention.head_count", c.Count("num_attention_heads"))
	md.Set(md.ArchKey("attention.head_count_kv"), kv)
	u32("ssm.conv_kernel", jambaKernel(c))
	u32("ssm.inner_size", 2*c.Count("hidden_size"))
	u32("ssm.state_size", c.CountOr("mamba_d_state", 16))
	u32("ssm.time_step_rank", jambaRank(c))
	md.Set(md.ArchKey("attention.layer_norm_rms_epsilon"), float32(c.Float("rms_norm_eps")))
	u32("expert_count", c.Count("num_experts"))
	u32("expert_used_count", c.Count("num_experts_per_tok"))
}

func jambaRules(c Config) []Rule {
	stack := Stack{Experts: c.Count("num_experts"), Group: "experts"}
	return []Rule{
		{"model.embed_tokens.weight", names.TokenEmbd, Copy{}},
		{"model.final_layernorm.weight", names.OutputNorm, Copy{}},
		{"lm_head.weight", names.OutputWeight, Copy{}},
		{"model.layers.{b}.input_layernorm.weight", names.AttnNorm, Copy{}},
		{"model.layers.{b}.pre_ff_layernorm.weight", names.FFNNorm, Copy{}},
		{"model.layers.{b}.self_attn.q_proj.weight", names.AttnQ, Copy{}},
		{"model.layers.{b}.self_attn.k_proj.weight", names.AttnK, Copy{}},
		{"model.layers.{b}.self_attn.v_proj.weight", names.AttnV, Copy{}},
		{"model.layers.{b}.self_attn.o_proj.weight", names.AttnOutput, Copy{}},
		{"model.layers.{b}.mamba.in_proj.weight", "ssm_in", Copy{}},
		{"model.layers.{b}.mamba.conv1d.weight", "ssm_conv1d", Reshape{Dims: []int64{0, jambaKernel(c)}}},
		{"model.layers.{b}.mamba.conv1d.bias", "ssm_conv1d", Copy{}},
		{"model.layers.{b}.mamba.x_proj.weight", "ssm_x", Copy{}},
		{"model.layers.{b}.mamba.dt_proj.{s}", "ssm_dt", Copy{}},
		{"model.layers.{b}.mamba.dt_layernorm.weight", "ssm_dt_norm", Copy{}},
		{"model.layers.{b}.mamba.b_layernorm.weight", "ssm_b_norm", Copy{}},
		{"model.layers.{b}.mamba.c_layernorm.weight", "ssm_c_norm", Copy{}},
		{"model.layers.{b}.mamba.A_log", "ssm_a", As{"", Map{negExp}}},
		{"model.layers.{b}.mamba.D", "ssm_d", As{"", Copy{}}},
		{"model.layers.{b}.mamba.out_proj.weight", "ssm_out", Copy{}},
		{"model.layers.{b}.feed_forward.gate_proj.weight", names.FFNGate, Copy{}},
		{"model.layers.{b}.feed_forward.up_proj.weight", names.FFNUp, Copy{}},
		{"model.layers.{b}.feed_forward.down_proj.weight", names.FFNDown, Copy{}},
		{"model.layers.{b}.feed_forward.router.weight", names.FFNGateInp, Copy{}},
		{"model.layers.{b}.feed_forward.experts.{x}.down_proj.weight", names.FFNDownExps, stack},
		{"model.layers.{b}.feed_forward.experts.{x}.gate_proj.weight", names.FFNGateExps, stack},
		{"model.layers.{b}.feed_forward.experts.{x}.up_proj.weight", names.FFNUpExps, stack},
	}
}

func jambaContract(md *gguf.Metadata) []gguf.TensorInfo {
	d := readDims(md)
	inner, state, rank := d.key("ssm.inner_size"), d.key("ssm.state_size"), d.key("ssm.time_step_rank")
	ts := d.frame()
	for b := range d.blocks {
		if d.headsKV = d.at("attention.head_count_kv", b); d.headsKV > 0 {
			ts = append(ts, d.attention(b)...)
		} else {
			ts = append(ts, d.vec(b, names.AttnNorm, d.embd), d.vec(b, names.FFNNorm, d.embd), d.mat(b, "ssm_in", d.embd, 2*inner),
				d.mat(b, "ssm_conv1d", d.key("ssm.conv_kernel"), inner), d.bias(b, "ssm_conv1d", inner), d.mat(b, "ssm_x", inner, rank+2*state),
				d.mat(b, "ssm_dt", rank, inner), d.bias(b, "ssm_dt", inner), d.vec(b, "ssm_dt_norm", rank), d.vec(b, "ssm_b_norm", state), d.vec(b, "ssm_c_norm", state),
				d.bare(b, "ssm_a", state, inner), d.bare(b, "ssm_d", inner), d.mat(b, "ssm_out", inner, d.embd))
		}
		ts = append(ts, d.ffn(b, d.ff, names.FFNGate, names.FFNUp, names.FFNDown)...)
		ts = append(ts, d.experts(b, d.ff)...)
	}
	return ts
}
