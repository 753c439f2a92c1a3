package family

import (
	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/gguf/names"
)

// Ling and Ring (Bailing-MoE v1): every block a mixture of softmax-routed experts beside shared ones; query, key and value in one.
func init() {
	register(Family{
		Arch:     "bailingmoe",
		Classes:  []string{"BailingMoeForCausalLM"},
		Example:  "inclusionAI/Ling-lite-1.5",
		Only:     bailingMoeOnly,
		Check:    checkBailingMoe,
		Keys:     bailingMoeKeys,
		Rules:    bailingMoeRules,
		Contract: bailingMoeContract,
		Required: []string{"expert_count", "expert_used_count", "expert_feed_forward_length", "expert_shared_count"},
		Vocab:    []string{"gpt2"},
		Pre:      []string{"bailingmoe"},
		Graph:    &Graph{Rope: RopeNorm, Gate: Softmax, FromFile: KeyedNorm | KeyedScale},
	})
}

var bailingMoeOnly = []Only{
	{"first_k_dense_replace", int64(0), "llama.cpp has a mixture of experts in every block of this architecture"},
	{"use_bias", false, ""},
	{"use_qkv_bias", false, "llama.cpp has no attention biases for this architecture"},
	{"multi_gate", false, ""},
	{"norm_softmax", false, ""},
	{"score_function", "softmax", "llama.cpp always uses softmax for this architecture"},
	{"routed_scaling_factor", int64(1), "the experts' weights are not scaled in this architecture"},
	{"n_group", int64(1), "experts are not grouped in this architecture"},
	{"tie_word_embeddings", false, "llama.cpp needs an output of its own in this architecture"},
	{"sliding_window", nil, ""},
}

func checkBailingMoe(c Config) error {
	if err := c.checkAttention(); err != nil {
		return err
	}
	if err := c.checkTopK("num_experts"); err != nil {
		return err
	}
	c.counts("vocab_size", "intermediate_size", "moe_intermediate_size", "max_position_embeddings", "num_shared_experts", "num_key_value_heads")
	c.Int("first_k_dense_replace")
	c.Float("rms_norm_eps")
	if !c.Has("norm_topk_prob") {
		c.fail("norm_topk_prob is missing")
	}
	c.BoolOr("norm_topk_prob", false)
	c.BoolOr("norm_head", false)
	return c.checkRopeType("linear", "yarn")
}

func bailingMoeKeys(c Config, md *gguf.Metadata) error {
	md.Set(md.ArchKey("rope.dimension_count"), uint32(c.headDim()))
	md.Set(md.ArchKey("leading_dense_block_count"), uint32(c.Int("first_k_dense_replace")))
	md.Set(md.ArchKey("vocab_size"), uint32(c.Count("vocab_size")))
	md.Set(md.ArchKey("expert_feed_forward_length"), uint32(c.Count("moe_intermediate_size")))
	md.Set(md.ArchKey("expert_weights_scale"), float32(1))
	md.Set(md.ArchKey("expert_shared_count"), uint32(c.Count("num_shared_experts")))
	md.Set(md.ArchKey("expert_weights_norm"), c.BoolOr("norm_topk_prob", false))
	return c.Err()
}

func bailingMoeRules(c Config) []Rule {
	heads, kv := c.Count("num_attention_heads"), c.Count("num_key_value_heads")
	q, k := heads*c.headDim(), kv*c.headDim()
	stack := Stack{Experts: c.Count("num_experts"), Group: "experts"}
	var head Op = Copy{}
	if c.BoolOr("norm_head", false) {
		head = Normalize{}
	}
	return []Rule{
		{"model.word_embeddings.weight", names.TokenEmbd, Copy{}},
		{"model.norm.weight", names.OutputNorm, Copy{}},
		{"lm_head.weight", names.OutputWeight, head},
		{"model.layers.{b}.input_layernorm.weight", names.AttnNorm, Copy{}},
		{"model.layers.{b}.post_attention_layernorm.weight", names.FFNNorm, Copy{}},
		{"model.layers.{b}.attention.query_key_value.weight", "", Split{
			{names.AttnQ, Chain{Rows{Count: q}, PermuteRope{heads}}},
			{names.AttnK, Chain{Rows{From: q, Count: k}, PermuteRope{kv}}},
			{names.AttnV, Rows{From: q + k}},
		}},
		{"model.layers.{b}.attention.dense.weight", names.AttnOutput, Copy{}},
		{"model.layers.{b}.mlp.gate.weight", names.FFNGateInp, Copy{}},
		{"model.layers.{b}.mlp.experts.{x}.down_proj.weight", names.FFNDownExps, stack},
		{"model.layers.{b}.mlp.experts.{x}.gate_proj.weight", names.FFNGateExps, stack},
		{"model.layers.{b}.mlp.experts.{x}.up_proj.weight", names.FFNUpExps, stack},
		{"model.layers.{b}.mlp.shared_experts.gate_proj.weight", names.FFNGateShexp, Copy{}},
		{"model.layers.{b}.mlp.shared_experts.up_proj.weight", names.FFNUpShexp, Copy{}},
		{"model.layers.{b}.mlp.shared_experts.down_proj.weight", names.FFNDownShexp, Copy{}},
	}
}

func bailingMoeContract(md *gguf.Metadata) []gguf.TensorInfo {
	d := readDims(md)
	ff, shared := d.key("expert_feed_forward_length"), d.key("expert_shared_count")
	ts := d.frame()
	for b := range d.blocks {
		ts = append(ts, d.attention(b)...)
		ts = append(ts, d.experts(b, ff)...)
		ts = append(ts, d.ffn(b, ff*shared, names.FFNGateShexp, names.FFNUpShexp, names.FFNDownShexp)...)
	}
	return ts
}
