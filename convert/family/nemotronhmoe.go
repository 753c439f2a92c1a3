package family

import (
	"fmt"
	"strings"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/gguf/names"
)

// Nemotron-H MoE (Nemotron 3): blocks of one layer each, Mamba 2, attention without rotary embedding, or
// sigmoid-routed experts without gates beside a shared one.
func init() {
	register(Family{
		Arch:     "nemotron_h_moe",
		Classes:  []string{"NemotronHForCausalLM"},
		Example:  "nvidia/NVIDIA-Nemotron-3-Nano-30B-A3B-BF16",
		Only:     nemotronHOnly,
		Check:    checkNemotronH,
		Adjust:   adjustNemotronH,
		Keys:     nemotronHKeys,
		Rules:    nemotronHRules,
		Contract: nemotronHContract,
		Required: []string{"feed_forward_length", "expert_count", "expert_used_count", "expert_feed_forward_length", "expert_shared_feed_forward_length", "ssm.conv_kernel", "ssm.inner_size", "ssm.state_size", "ssm.time_step_rank", "ssm.group_count"},
		Optional: []names.Role{names.OutputWeight, "ssm_conv1d.bias", "attn_q.bias", "attn_k.bias", "attn_v.bias", "attn_output.bias"},
		Vocab:    []string{"nemotron-h"},
		Reads:    []string{"partial_rotary_factor"}, // nothing is rotated
		Pre:      []string{"pixtral"},
		Graph:    &Graph{Rope: RopeNone, OneLayer: true, Act: SquaredReLU, Gate: Sigmoid, FromFile: KeyedNorm | KeyedScale},
	})
}

var nemotronHOnly = []Only{
	{"mlp_hidden_act", "relu2", "llama.cpp squares a ReLU in this architecture"},
	{"mamba_hidden_act", "silu", ""},
	{"num_nextn_predict_layers", int64(0), "blocks of multi-token prediction are not implemented for this architecture"},
	{"mamba_proj_bias", false, "llama.cpp has no biases of the projections in this architecture"}, {"use_bias", false, ""},
	{"mlp_bias", false, "llama.cpp's experts have no biases in this architecture"},
	{"sliding_window", nil, "llama.cpp attends to everything in this architecture"},
	{"moe_latent_size", nil, "experts of another width than the model are not implemented"},
}

func checkNemotronH(c Config) error {
	if err := c.checkAttention(); err != nil {
		return err
	}
	if !c.Has("num_experts_per_tok") {
		return &gguf.UnsupportedError{Msg: "config.json: num_experts_per_tok is missing: Nemotron-H without experts is not supported"}
	}
	if err := c.checkTopK("n_routed_experts"); err != nil {
		return err
	}
	c.counts("vocab_size", "intermediate_size", "moe_intermediate_size", "moe_shared_expert_intermediate_size", "n_shared_experts", "n_group", "num_key_value_heads",
		"max_position_embeddings", "head_dim", "mamba_num_heads", "mamba_head_dim", "n_groups", "ssm_state_size", "conv_kernel")
	c.Float("layer_norm_epsilon")
	c.BoolOr("use_conv_bias", true)
	kinds := nemotronHKinds(c)
	if layers := c.CountOr("num_hidden_layers", int64(len(kinds))); c.Err() != nil {
		return c.Err()
	} else if layers != int64(len(kinds)) {
		return fmt.Errorf("config.json: num_hidden_layers %d is not the number of blocks in hybrid_override_pattern or layers_block_type, %d", layers, len(kinds))
	}
	if b := strings.IndexFunc(kinds, func(kind rune) bool { return !strings.ContainsRune("M*E", kind) }); b >= 0 {
		return &gguf.UnsupportedError{Msg: fmt.Sprintf("config.json: hybrid_override_pattern or layers_block_type: block %d is neither Mamba nor attention nor experts, which llama.cpp does not load in this architecture", b)}
	}
	if inner, groups := c.Count("mamba_num_heads")*c.Count("mamba_head_dim"), c.Count("n_groups"); inner%groups != 0 || inner%64 != 0 {
		return fmt.Errorf("config.json: mamba_num_heads times mamba_head_dim is %d, which must be divisible by n_groups %d and by 64", inner, groups)
	}
	if n := c.Count("vocab_size"); n%8 != 0 {
		return &gguf.UnsupportedError{Msg: fmt.Sprintf("config.json: vocab_size %d is not a multiple of 8, as the reference's padding of the vocabulary needs", n)}
	}
	return nil
}

// adjustNemotronH fills in the number of layers, and leaves out the heads' size, which follows later.
func adjustNemotronH(c Config) Config {
	return c.WithInt("num_hidden_layers", int64(len(nemotronHKinds(c)))).With("head_dim", nil)
}

func nemotronHKeys(c Config, md *gguf.Metadata) error {
	kinds := nemotronHKinds(c)
	kv, ff := make([]int32, len(kinds)), make([]int32, len(kinds))
	for i, kind := range kinds {
		if kind == '*' {
			kv[i] = int32(c.Count("num_key_value_heads"))
		} else if kind == 'E' {
			ff[i] = int32(c.Count("moe_intermediate_size"))
		}
	}
	set := func(key string, v any) { md.Set(md.ArchKey(key), v) }
	counts := func(pairs ...string) { c.countKeys(md, pairs...) }
	counts("vocab_size", "vocab_size")
	set("rope.dimension_count", uint32(c.Count("hidden_size")/max(1, c.Count("num_attention_heads"))))
	counts("ssm.conv_kernel", "conv_kernel", "ssm.state_size", "ssm_state_size", "ssm.group_count", "n_groups")
	set("ssm.inner_size", uint32(c.Count("mamba_num_heads")*c.Count("mamba_head_dim")))
	counts("ssm.time_step_rank", "mamba_num_heads")
	set("attention.head_count_kv", kv)
	set("rope.scaling.finetuned", false)
	set("context_length", uint32(1<<20)) // without positions there is no limit
	counts("attention.key_length", "head_dim", "attention.value_length", "head_dim")
	set("feed_forward_length", ff)
	counts("expert_used_count", "num_experts_per_tok", "expert_feed_forward_length", "moe_intermediate_size",
		"expert_shared_feed_forward_length", "moe_shared_expert_intermediate_size", "expert_count", "n_routed_experts", "expert_shared_count", "n_shared_experts")
	set("expert_weights_norm", c.BoolOr("norm_topk_prob", true))
	set("expert_weights_scale", float32(c.Float("routed_scaling_factor")))
	counts("expert_group_count", "n_group")
	return c.Err()
}

func nemotronHRules(c Config) []Rule {
	stack := Stack{Experts: c.Count("n_routed_experts"), Group: "experts"}
	return append(mamba2Rules("backbone.layers.{b}.mixer.", c.Count("conv_kernel"), c.Count("n_groups")), []Rule{
		{"backbone.embeddings.weight", names.TokenEmbd, Copy{}},
		{"backbone.norm_f.weight", names.OutputNorm, Copy{}},
		{"lm_head.weight", names.OutputWeight, Copy{}},
		{"backbone.layers.{b}.norm.weight", names.AttnNorm, Copy{}},
		{"backbone.layers.{b}.mixer.q_proj.{s}", names.AttnQ, PermuteRope{c.Count("num_attention_heads")}},
		{"backbone.layers.{b}.mixer.k_proj.{s}", names.AttnK, PermuteRope{c.Count("num_key_value_heads")}},
		{"backbone.layers.{b}.mixer.v_proj.{s}", names.AttnV, Copy{}},
		{"backbone.layers.{b}.mixer.o_proj.{s}", names.AttnOutput, Copy{}},
		{"backbone.layers.{b}.mixer.gate.weight", names.FFNGateInp, Copy{}},
		{"backbone.layers.{b}.mixer.gate.e_score_correction.bias", "exp_probs_b", Copy{}},
		{"backbone.layers.{b}.mixer.experts.{x}.down_proj.weight", names.FFNDownExps, stack},
		{"backbone.layers.{b}.mixer.experts.{x}.up_proj.weight", names.FFNUpExps, stack},
		{"backbone.layers.{b}.mixer.shared_experts.up_proj.weight", names.FFNUpShexp, Copy{}},
		{"backbone.layers.{b}.mixer.shared_experts.down_proj.weight", names.FFNDownShexp, Copy{}},
	}...)
}

func nemotronHContract(md *gguf.Metadata) []gguf.TensorInfo {
	d := readDims(md)
	ff, shared := d.key("expert_feed_forward_length"), d.key("expert_shared_feed_forward_length")
	ts := d.frame()
	for b := range d.blocks {
		ts = append(ts, d.vec(b, names.AttnNorm, d.embd))
		d.headsKV = d.at("attention.head_count_kv", b)
		switch kv := d.headsKV * d.headDim; {
		case d.at("feed_forward_length", b) > 0:
			moe := d.experts(b, ff)
			ts = append(ts, moe[0], moe[2], moe[3], d.bias(b, "exp_probs_b", d.expert), d.mat(b, names.FFNUpShexp, d.embd, shared), d.mat(b, names.FFNDownShexp, shared, d.embd))
		case kv > 0:
			ts = append(ts, d.attention(b)[1:5]...)
			ts = append(ts, d.bias(b, names.AttnQ, d.heads*d.headDim), d.bias(b, names.AttnK, kv), d.bias(b, names.AttnV, kv), d.bias(b, names.AttnOutput, d.embd))
		default:
			ts = append(ts, d.mamba2(b)...)
		}
	}
	return ts
}
