package family

import (
	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/gguf/names"
)

// Arctic: a dense network as wide as the embedding beside a mixture of many experts in every block.
func init() {
	register(Family{
		Arch:     "arctic",
		Classes:  []string{"ArcticForCausalLM"},
		Example:  "Snowflake/snowflake-arctic-instruct",
		Only:     arcticOnly,
		Check:    checkArctic,
		Keys:     arcticKeys,
		Rules:    arcticRules,
		Contract: arcticContract,
		Required: []string{"feed_forward_length", "expert_count", "expert_used_count"},
		Optional: []names.Role{names.OutputWeight},
		Vocab:    []string{"arctic"},
		Graph:    &Graph{Rope: RopeNorm, Gate: Softmax, NormalizeWeights: true},
	})
}

var arcticOnly = []Only{
	{"parallel_attn_mlp_res", true, "llama.cpp always runs the dense network beside the experts in this architecture"},
	{"use_residual", true, "llama.cpp always has the dense network in this architecture"},
	{"moe_layer_frequency", int64(1), "every block must be a mixture of experts"},
	{"attention_bias", false, ""},
	{"sliding_window", nil, "llama.cpp attends to everything in this architecture"},
}

// arcticTraining are fields that only training reads.
var arcticTraining = []string{"enable_expert_tensor_parallelism", "enc_index", "max_sequence_length", "moe_eval_capacity_factor",
	"moe_min_capacity", "moe_token_dropping", "moe_train_capacity_factor", "quantization"}

func checkArctic(c Config) error {
	if err := c.checkAttention(); err != nil {
		return err
	}
	if err := c.checkTopK("num_local_experts"); err != nil {
		return err
	}
	c.First(arcticTraining...)
	c.counts("vocab_size", "intermediate_size", "max_position_embeddings", "num_hidden_layers")
	if c.Float("rms_norm_eps"); c.Err() != nil {
		return c.Err()
	}
	return c.checkNoRopeScaling("ArcticForCausalLM")
}

func arcticKeys(c Config, md *gguf.Metadata) error {
	md.Set(md.ArchKey("vocab_size"), uint32(c.Count("vocab_size")))
	md.Set(md.ArchKey("rope.dimension_count"), uint32(c.headDim()))
	return c.Err()
}

func arcticRules(c Config) []Rule {
	heads := c.Count("num_attention_heads")
	stack := Stack{Experts: c.Count("num_local_experts"), Group: "experts"}
	return []Rule{
		{"model.embed_tokens.weight", names.TokenEmbd, Copy{}},
		{"model.norm.weight", names.OutputNorm, Copy{}},
		{"lm_head.weight", names.OutputWeight, Copy{}},
		{"model.layers.{b}.input_layernorm.weight", names.AttnNorm, Copy{}},
		{"model.layers.{b}.residual_layernorm.weight", names.FFNNorm, Copy{}},
		{"model.layers.{b}.post_attention_layernorm.weight", "ffn_norm_exps", Copy{}},
		{"model.layers.{b}.self_attn.q_proj.weight", names.AttnQ, PermuteRope{Heads: heads}},
		{"model.layers.{b}.self_attn.k_proj.weight", names.AttnK, PermuteRope{Heads: c.CountOr("num_key_value_heads", heads)}},
		{"model.layers.{b}.self_attn.v_proj.weight", names.AttnV, Copy{}},
		{"model.layers.{b}.self_attn.o_proj.weight", names.AttnOutput, Copy{}},
		{"model.layers.{b}.residual_mlp.w1.weight", names.FFNGate, Copy{}},
		{"model.layers.{b}.residual_mlp.w2.weight", names.FFNDown, Copy{}},
		{"model.layers.{b}.residual_mlp.w3.weight", names.FFNUp, Copy{}},
		{"model.layers.{b}.block_sparse_moe.gate.weight", names.FFNGateInp, Copy{}},
		{"model.layers.{b}.block_sparse_moe.experts.{x}.w1.weight", names.FFNGateExps, stack},
		{"model.layers.{b}.block_sparse_moe.experts.{x}.w2.weight", names.FFNDownExps, stack},
		{"model.layers.{b}.block_sparse_moe.experts.{x}.w3.weight", names.FFNUpExps, stack},
	}
}

func arcticContract(md *gguf.Metadata) []gguf.TensorInfo {
	d := readDims(md)
	ts := d.frame()
	for b := range d.blocks {
		ts = append(ts, d.attention(b)...)
		ts = append(ts, d.ffn(b, d.embd, names.FFNGate, names.FFNUp, names.FFNDown)...)
		ts = append(ts, d.experts(b, d.ff)...)
		ts = append(ts, d.vec(b, "ffn_norm_exps", d.embd))
	}
	return ts
}
