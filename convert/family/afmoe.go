package family

import (
	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/gguf/names"
)

// AFMoE (Arcee Trinity): norms on both sides of attention and feed-forward, gated attention with a sliding window and
// rotary embedding in three blocks of four, the first blocks dense, then sigmoid-routed experts with a bias beside shared ones.
func init() {
	register(Family{
		Arch:     "afmoe",
		Classes:  []string{"AfmoeForCausalLM"},
		Example:  "arcee-ai/Trinity-Mini",
		Only:     afmoeOnly,
		Check:    checkAfmoe,
		Keys:     afmoeKeys,
		Rules:    afmoeRules,
		Contract: afmoeContract,
		Required: []string{"feed_forward_length", "expert_count", "expert_used_count", "expert_feed_forward_length", "expert_shared_count", "attention.sliding_window"},
		Optional: []names.Role{names.OutputWeight},
		Vocab:    []string{"llama"},
		Pre:      []string{"afmoe"},
		Graph:    &Graph{Rope: RopeNeox, NoRopeEvery: 4, EmbedScale: true, Windows: Windows{Kind: WindowSliding, Every: 4}, Gate: Sigmoid, FromFile: KeyedRouting},
	})
}

var afmoeOnly = []Only{
	{"attention_bias", false, ""},
	{"global_attn_every_n_layers", int64(4), "llama.cpp attends to everything in every fourth layer of this architecture"},
	{"score_func", "sigmoid", "this architecture routes by sigmoid"},
	{"num_expert_groups", int64(1), "experts are not grouped in this architecture"},
	{"num_limited_groups", int64(1), "experts are not grouped in this architecture"},
	{"n_group", int64(1), "experts are not grouped in this architecture"},
	{"topk_group", int64(1), "experts are not grouped in this architecture"},
}

func checkAfmoe(c Config) error {
	if err := c.checkAttention(); err != nil {
		return err
	}
	if err := c.checkTopK("num_experts"); err != nil {
		return err
	}
	c.counts("vocab_size", "intermediate_size", "moe_intermediate_size", "max_position_embeddings", "num_key_value_heads", "head_dim", "sliding_window")
	c.Int("num_dense_layers")
	c.Int("num_shared_experts")
	c.Float("rms_norm_eps")
	c.Float("route_scale")
	if !c.Rope().Full().Has("rope_theta") {
		c.fail("rope_theta is missing")
	}
	if _, ok := c.get("route_norm"); !ok {
		c.fail("route_norm is missing: it says whether the experts' weights are renormalised")
	}
	if c.BoolOr("route_norm", false); c.Err() != nil {
		return c.Err()
	}
	if !c.BoolOr("mup_enabled", false) {
		return &gguf.UnsupportedError{Msg: "config.json: mup_enabled is false or missing: llama.cpp always scales the embeddings in this architecture"}
	}
	if err := c.checkRopeType("linear", "yarn"); err != nil {
		return err
	}
	return c.checkLayerTypes(func(block int) string {
		if block%4 == 3 {
			return "full_attention"
		}
		return "sliding_attention"
	})
}

func afmoeKeys(c Config, md *gguf.Metadata) error {
	md.Set(md.ArchKey("vocab_size"), uint32(c.Count("vocab_size")))
	md.Set(md.ArchKey("rope.dimension_count"), uint32(c.headDim()))
	md.Set(md.ArchKey("expert_shared_count"), uint32(c.Int("num_shared_experts")))
	md.Set(md.ArchKey("expert_feed_forward_length"), uint32(c.Count("moe_intermediate_size")))
	md.Set(md.ArchKey("leading_dense_block_count"), uint32(c.Int("num_dense_layers")))
	md.Set(md.ArchKey("expert_weights_norm"), c.BoolOr("route_norm", false))
	md.Set(md.ArchKey("expert_weights_scale"), float32(c.Float("route_scale")))
	md.Set(md.ArchKey("attention.sliding_window"), uint32(c.Count("sliding_window")))
	return c.Err()
}

func afmoeRules(c Config) []Rule {
	stack := Stack{Experts: c.Count("num_experts"), Group: "experts"}
	return []Rule{
		{"model.embed_tokens.weight", names.TokenEmbd, Copy{}},
		{"model.norm.weight", names.OutputNorm, Copy{}},
		{"lm_head.weight", names.OutputWeight, Copy{}},
		{"model.layers.{b}.input_layernorm.weight", names.AttnNorm, Copy{}},
		{"model.layers.{b}.post_attention_layernorm.weight", "post_attention_norm", Copy{}},
		{"model.layers.{b}.pre_mlp_layernorm.weight", names.FFNNorm, Copy{}},
		{"model.layers.{b}.post_mlp_layernorm.weight", "post_ffw_norm", Copy{}},
		{"model.layers.{b}.self_attn.q_proj.weight", names.AttnQ, Copy{}},
		{"model.layers.{b}.self_attn.k_proj.weight", names.AttnK, Copy{}},
		{"model.layers.{b}.self_attn.v_proj.weight", names.AttnV, Copy{}},
		{"model.layers.{b}.self_attn.o_proj.weight", names.AttnOutput, Copy{}},
		{"model.layers.{b}.self_attn.gate_proj.weight", "attn_gate", Copy{}},
		{"model.layers.{b}.self_attn.q_norm.weight", "attn_q_norm", Copy{}},
		{"model.layers.{b}.self_attn.k_norm.weight", "attn_k_norm", Copy{}},
		{"model.layers.{b}.mlp.gate_proj.weight", names.FFNGate, Copy{}},
		{"model.layers.{b}.mlp.up_proj.weight", names.FFNUp, Copy{}},
		{"model.layers.{b}.mlp.down_proj.weight", names.FFNDown, Copy{}},
		{"model.layers.{b}.mlp.router.gate.weight", names.FFNGateInp, Copy{}},
		{"model.layers.{b}.mlp.expert_bias", "exp_probs_b", Copy{}},
		{"model.layers.{b}.mlp.experts.{x}.gate_proj.weight", names.FFNGateExps, stack},
		{"model.layers.{b}.mlp.experts.{x}.up_proj.weight", names.FFNUpExps, stack},
		{"model.layers.{b}.mlp.experts.{x}.down_proj.weight", names.FFNDownExps, stack},
		{"model.layers.{b}.mlp.shared_experts.gate_proj.weight", names.FFNGateShexp, Copy{}},
		{"model.layers.{b}.mlp.shared_experts.up_proj.weight", names.FFNUpShexp, Copy{}},
		{"model.layers.{b}.mlp.shared_experts.down_proj.weight", names.FFNDownShexp, Copy{}},
	}
}

func afmoeContract(md *gguf.Metadata) []gguf.TensorInfo {
	d := readDims(md)
	dense, ff, shared := d.keyOr("leading_dense_block_count", 0), d.key("expert_feed_forward_length"), d.key("expert_shared_count")
	ts := d.frame()
	for b := range d.blocks {
		ts = append(ts, d.attention(b)...)
		ts = append(ts, d.vec(b, "attn_q_norm", d.headDim), d.vec(b, "attn_k_norm", d.headDim), d.mat(b, "attn_gate", d.embd, d.heads*d.headDim),
			d.vec(b, "post_attention_norm", d.embd), d.vec(b, "post_ffw_norm", d.embd))
		if int64(b) < dense {
			ts = append(ts, d.ffn(b, d.ff, names.FFNGate, names.FFNUp, names.FFNDown)...)
			continue
		}
		ts = append(ts, d.experts(b, ff)...)
		ts = append(ts, d.bias(b, "exp_probs_b", d.expert))
		if shared > 0 {
			ts = append(ts, d.ffn(b, ff*shared, names.FFNGateShexp, names.FFNUpShexp, names.FFNDownShexp)...)
		}
	}
	return ts
}
