package family

import (
	"fmt"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/gguf/names"
)

// Phi-3.5-MoE: biases everywhere, the output's too, two sets of factors for rotary embedding. GRIN-MoE has the same
// weights and a context that was never stretched; the reference does not know its class.
func init() {
	register(Family{
		Arch:      "phimoe",
		Classes:   []string{"PhiMoEForCausalLM", "PhimoeForCausalLM", "GRINMoEForCausalLM"},
		Example:   "microsoft/Phi-3.5-MoE-instruct",
		Only:      phimoeOnly,
		Check:     checkPhimoe,
		EarlyKeys: phimoeFactor,
		Keys:      phimoeKeys,
		Common:    phimoeCommon,
		Rules:     phimoeRules,
		Computed:  phimoeComputed,
		Contract:  phimoeContract,
		Required:  []string{"feed_forward_length", "expert_count", "expert_used_count"},
		Optional:  []names.Role{"attn_q.bias", "attn_k.bias", "attn_v.bias", "rope_factors_long", "rope_factors_short"},
		Vocab:     []string{"phi"},
		Original:  phimoeOriginal,
		Graph: &Graph{Rope: RopeNeox, Gate: Softmax, NormalizeWeights: true,
			Original: &Original{LayerNorm: true, Jitter: 0.01, RopeScale: [2]float64{1.243163121016122, 1.243163121016122}}},
	})
}

var phimoeOnly = []Only{
	{"attention_bias", true, "llama.cpp needs the attention's biases in this architecture"},
	{"lm_head_bias", true, "llama.cpp needs the output's bias in this architecture"},
	{"num_experts_per_tok", int64(2), "these models route to two experts, one after the other"},
}

func checkPhimoe(c Config) error {
	if err := c.checkAttention(); err != nil {
		return err
	}
	if err := c.checkTopK("num_local_experts"); err != nil {
		return err
	}
	c.counts("vocab_size", "intermediate_size", "max_position_embeddings", "num_hidden_layers", "num_key_value_heads")
	c.IntOr("sliding_window", 0) // is written down, and nowhere used
	c.First("input_jitter_noise")
	c.Float("rms_norm_eps")
	if c.Has("head_dim") && c.headDim()*c.Count("num_attention_heads") != c.Count("hidden_size") {
		return fmt.Errorf("config.json: head_dim %d times num_attention_heads is not hidden_size %d, as this architecture needs", c.headDim(), c.Count("hidden_size"))
	}
	r := c.phimoeRope()
	if n := r.Int("original_max_position_embeddings"); c.Err() == nil && n < 2 {
		return fmt.Errorf("config.json: original_max_position_embeddings is %d", n)
	}
	r.positive("rope_theta")
	if err := c.checkRopeType("su", "longrope", "yarn"); err != nil {
		return err
	}
	return r.checkLong(c.headDim())
}

// phimoeRope is the rotary embedding, where GRIN's is as long as it was in training.
func (c Config) phimoeRope() Rope {
	if class, _ := c.Class(); class == "GRINMoEForCausalLM" && !c.Has("original_max_position_embeddings") {
		c = c.WithInt("original_max_position_embeddings", c.Count("max_position_embeddings"))
	}
	return c.Rope()
}

// phimoeFactor writes by how much attention is scaled for the longer context.
func phimoeFactor(c Config, md *gguf.Metadata) error {
	r := c.phimoeRope()
	if !r.Has("long_factor") {
		return c.Err()
	}
	md.Set(md.ArchKey("rope.scaling.attn_factor"), float32(r.longAttention(c.Count("max_position_embeddings"))))
	return c.Err()
}

func phimoeCommon(c Config, md *gguf.Metadata) {
	r := c.phimoeRope()
	count := func(key, field string) { md.Set(md.ArchKey(key), uint32(c.Count(field))) }
	count("context_length", "max_position_embeddings")
	md.Set(md.ArchKey("rope.scaling.original_context_length"), uint32(r.Int("original_max_position_embeddings")))
	count("embedding_length", "hidden_size")
	count("feed_forward_length", "intermediate_size")
	count("block_count", "num_hidden_layers")
	count("attention.head_count", "num_attention_heads")
	count("attention.head_count_kv", "num_key_value_heads")
	md.Set(md.ArchKey("attention.layer_norm_rms_epsilon"), float32(c.Float("rms_norm_eps")))
	md.Set(md.ArchKey("rope.dimension_count"), uint32(c.Count("hidden_size")/max(1, c.Count("num_attention_heads"))))
	md.Set(md.ArchKey("rope.freq_base"), float32(r.Float("rope_theta")))
}

func phimoeKeys(c Config, md *gguf.Metadata) error {
	md.Set(md.ArchKey("attention.sliding_window"), uint32(c.IntOr("sliding_window", 0)))
	md.Set(md.ArchKey("expert_used_count"), uint32(c.Count("num_experts_per_tok")))
	md.Set(md.ArchKey("expert_count"), uint32(c.Count("num_local_experts")))
	return c.Err()
}

// phimoeOriginal is the model's norm and router, and its scales of rotary embedding where it has some.
func phimoeOriginal(c Config) Original {
	r := c.phimoeRope()
	return Original{LayerNorm: true, Jitter: float32(defaults{"router_jitter_noise": "0.01"}.fill(c).Float("router_jitter_noise")),
		RopeScale: [2]float64{r.floatOr("short_mscale", 0), r.floatOr("long_mscale", 0)}}
}

func phimoeRules(c Config) []Rule {
	stack := Stack{Experts: c.Count("num_local_experts"), Group: "experts"}
	return []Rule{
		{"model.embed_tokens.weight", names.TokenEmbd, Copy{}},
		{"model.norm.{s}", names.OutputNorm, Copy{}},
		{"lm_head.{s}", names.OutputWeight, Copy{}},
		{"model.layers.{b}.input_layernorm.{s}", names.AttnNorm, Copy{}},
		{"model.layers.{b}.post_attention_layernorm.{s}", names.FFNNorm, Copy{}},
		{"model.layers.{b}.self_attn.q_proj.{s}", names.AttnQ, Copy{}},
		{"model.layers.{b}.self_attn.k_proj.{s}", names.AttnK, Copy{}},
		{"model.layers.{b}.self_attn.v_proj.{s}", names.AttnV, Copy{}},
		{"model.layers.{b}.self_attn.o_proj.{s}", names.AttnOutput, Copy{}},
		{"model.layers.{b}.block_sparse_moe.gate.weight", names.FFNGateInp, Copy{}},
		{"model.layers.{b}.block_sparse_moe.experts.{x}.w1.weight", names.FFNGateExps, stack},
		{"model.layers.{b}.block_sparse_moe.experts.{x}.w2.weight", names.FFNDownExps, stack},
		{"model.layers.{b}.block_sparse_moe.experts.{x}.w3.weight", names.FFNUpExps, stack},
	}
}

func phimoeComputed(c Config) []Computed { return c.phimoeRope().longComputed() }

func phimoeContract(md *gguf.Metadata) []gguf.TensorInfo {
	d := readDims(md)
	ts := append(d.frame(), d.bias(-1, names.OutputNorm, d.embd), d.bias(-1, names.OutputWeight, d.vocab),
		gguf.TensorInfo{Name: "rope_factors_long.weight", Shape: gguf.Shape{d.headDim / 2}}, gguf.TensorInfo{Name: "rope_factors_short.weight", Shape: gguf.Shape{d.headDim / 2}})
	for b := range d.blocks {
		ts = append(append(ts, d.attention(b)...), d.experts(b, d.ff)...)
		ts = append(ts, d.bias(b, names.AttnNorm, d.embd), d.bias(b, names.FFNNorm, d.embd), d.bias(b, names.AttnOutput, d.embd),
			d.bias(b, names.AttnQ, d.heads*d.headDim), d.bias(b, names.AttnK, d.headsKV*d.headDim), d.bias(b, names.AttnV, d.headsKV*d.headDim))
	}
	return ts
}
