package family

import (
	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/gguf/names"
)

// Mixtral: every block a mixture of experts, the used experts' weights renormalised. Its files say "llama".
func init() {
	register(Family{
		Arch:     "llama",
		Classes:  []string{"MixtralForCausalLM"},
		Example:  "mistralai/Mixtral-8x7B-Instruct-v0.1",
		Only:     mixtralOnly,
		Check:    checkMixtral,
		Keys:     mixtralKeys,
		Rules:    mixtralRules,
		Contract: mixtralContract,
		Required: []string{"feed_forward_length", "expert_count", "expert_used_count"},
		Optional: []names.Role{names.OutputWeight, names.RopeFreqs},
		Vocab:    []string{"llama"},
		Graph:    &Graph{Rope: RopeNorm, Act: SiLU, Gate: Softmax, NormalizeWeights: true},
	})
}

var mixtralOnly = []Only{
	{"attention_bias", false, ""},
	{"sliding_window", nil, "llama.cpp attends to everything in this architecture"},
}

func checkMixtral(c Config) error {
	if err := c.checkAttention(); err != nil {
		return err
	}
	if err := c.checkTopK("num_local_experts"); err != nil {
		return err
	}
	for _, key := range []string{"vocab_size", "intermediate_size", "max_position_embeddings"} {
		c.Count(key)
	}
	if c.Float("rms_norm_eps"); c.Err() != nil {
		return c.Err()
	}
	return c.checkNoRopeScaling("MixtralForCausalLM")
}

func mixtralKeys(c Config, md *gguf.Metadata) error {
	md.Set(md.ArchKey("vocab_size"), uint32(c.Count("vocab_size")))
	md.Set(md.ArchKey("rope.dimension_count"), uint32(c.headDim()))
	return c.Err()
}

func mixtralRules(c Config) []Rule {
	heads := c.Count("num_attention_heads")
	kv := c.CountOr("num_key_value_heads", heads)
	stack := Stack{Experts: c.Count("num_local_experts"), Group: "experts"}
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
		{"model.layers.{b}.block_sparse_moe.gate.weight", names.FFNGateInp, Copy{}},
		{"model.layers.{b}.block_sparse_moe.experts.{x}.w1.weight", names.FFNGateExps, stack},
		{"model.layers.{b}.block_sparse_moe.experts.{x}.w2.weight", names.FFNDownExps, stack},
		{"model.layers.{b}.block_sparse_moe.experts.{x}.w3.weight", names.FFNUpExps, stack},
	}
}

func mixtralContract(md *gguf.Metadata) []gguf.TensorInfo {
	d := readDims(md)
	ts := append(d.frame(), gguf.TensorInfo{Name: names.RopeFreqs.Weight(), Shape: gguf.Shape{d.headDim / 2}})
	for b := range d.blocks {
		ts = append(ts, d.attention(b)...)
		ts = append(ts, d.experts(b, d.ff)...)
	}
	return ts
}
