package family

import (
	"slices"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/gguf/names"
)

// GLM-4.5: half of each head rotated, the first blocks dense, then sigmoid-routed experts beside shared ones; the
// blocks of multi-token prediction are kept, after the others.
func init() {
	register(Family{
		Arch:     "glm4moe",
		Classes:  []string{"Glm4MoeForCausalLM"},
		Example:  "zai-org/GLM-4.5-Air",
		Only:     []Only{{"scoring_func", "sigmoid", "the experts of this architecture are always gated by sigmoid"}},
		Check:    checkGlm4Moe,
		Adjust:   adjustGlm4Moe,
		Keys:     glm4MoeKeys,
		Rules:    glm4MoeRules,
		Contract: glm4MoeContract,
		Required: []string{"feed_forward_length", "expert_count", "expert_used_count", "expert_feed_forward_length", "expert_shared_count"},
		Optional: append([]names.Role{names.OutputWeight, "attn_q_norm", "attn_k_norm", "nextn.embed_tokens", "nextn.shared_head_head", "nextn.shared_head_norm"}, qkvBiases...),
		Reads:    []string{"partial_rotary_factor"},
		Vocab:    []string{"glm"},
		Pre:      []string{"glm4"},
		Graph:    &Graph{Rope: RopeNeox, Gate: Sigmoid, FromFile: KeyedRouting},
	})
}

var glm4MoeDefaults = defaults{"rms_norm_eps": "1e-05", "n_routed_experts": "128", "n_group": "1", "topk_group": "1"}

// nextn is the number of blocks of multi-token prediction, which the class counts as one where config.json does not say.
func (c Config) nextn() int64 { return c.IntOr("num_nextn_predict_layers", 1) }

// adjustGlm4Moe counts the blocks of multi-token prediction among all.
func adjustGlm4Moe(c Config) Config {
	return glm4MoeDefaults.fillRope(c).WithInt("num_hidden_layers", c.Count("num_hidden_layers")+c.nextn())
}

func checkGlm4Moe(c Config) error {
	if err := c.checkAttention(); err != nil {
		return err
	}
	if err := c.checkTopK("n_routed_experts"); err != nil {
		return err
	}
	c.counts("vocab_size", "intermediate_size", "moe_intermediate_size", "max_position_embeddings", "num_key_value_heads", "n_shared_experts", "num_hidden_layers")
	if n := c.IntOr("first_k_dense_replace", 1); c.Err() == nil && n > c.Count("num_hidden_layers") {
		c.fail("first_k_dense_replace %d exceeds num_hidden_layers %d", n, c.Count("num_hidden_layers"))
	}
	c.nextn()
	c.Has("use_qk_norm") // the tensors show it
	c.Has("attention_bias")
	if r := c.glm4Rotated(); c.Err() == nil && (r < 2 || r%2 != 0 || r > c.headDim()) {
		c.fail("partial_rotary_factor: %d of %d elements of a head cannot be rotated", r, c.headDim())
	}
	if err := c.checkGroups("n_routed_experts"); err != nil {
		return err
	}
	return c.checkRopeType("linear", "yarn")
}

// checkGroups holds groups of experts against what llama.cpp's loader insists on.
func (c Config) checkGroups(expertsKey string) error {
	groups, used := c.CountOr("n_group", 1), c.CountOr("topk_group", 1)
	if groups > 1 && c.Err() == nil && (c.Count(expertsKey)%groups != 0 || used >= groups || groups >= c.Count(expertsKey)) {
		c.fail("%d experts in n_group %d groups of which topk_group %d are used: llama.cpp cannot load that", c.Count(expertsKey), groups, used)
	}
	return c.Err()
}

// glm4Rotated is the number of a head's elements that are rotated.
func (c Config) glm4Rotated() int64 {
	factor := 0.5
	if r := c.Rope(); r.Has("partial_rotary_factor") {
		factor = r.Float("partial_rotary_factor")
	}
	return int64(float64(c.headDim()) * factor)
}

func glm4MoeKeys(c Config, md *gguf.Metadata) error {
	md.Set(md.ArchKey("rope.dimension_count"), uint32(c.glm4Rotated()))
	md.Set(md.ArchKey("expert_count"), uint32(c.Count("n_routed_experts")))
	md.Set(md.ArchKey("expert_feed_forward_length"), uint32(c.Count("moe_intermediate_size")))
	md.Set(md.ArchKey("expert_shared_count"), uint32(c.Count("n_shared_experts")))
	md.Set(md.ArchKey("leading_dense_block_count"), uint32(c.IntOr("first_k_dense_replace", 1)))
	md.Set(md.ArchKey("expert_gating_func"), uint32(2)) // sigmoid
	md.Set(md.ArchKey("expert_weights_scale"), float32(defaults{"routed_scaling_factor": "1.0"}.fill(c).Float("routed_scaling_factor")))
	md.Set(md.ArchKey("expert_weights_norm"), c.BoolOr("norm_topk_prob", true))
	md.Set(md.ArchKey("nextn_predict_layers"), uint32(c.nextn()))
	return c.Err()
}

func glm4MoeRules(c Config) []Rule {
	return slices.Concat(decoderRules("post_attention_norm"), qkNormRules(), denseRules(), expertRules(c.Count("n_routed_experts")), sharedRules("shared_experts"), []Rule{
		{"model.layers.{b}.mlp.gate.e_score_correction.bias", "exp_probs_b", Copy{}},
		{"model.layers.{b}.eh_proj.weight", "nextn.eh_proj", Copy{}},
		{"model.layers.{b}.embed_tokens.weight", "nextn.embed_tokens", Copy{}},
		{"model.layers.{b}.enorm.weight", "nextn.enorm", Copy{}},
		{"model.layers.{b}.hnorm.weight", "nextn.hnorm", Copy{}},
		{"model.layers.{b}.shared_head.head.weight", "nextn.shared_head_head", Copy{}},
		{"model.layers.{b}.shared_head.norm.weight", "nextn.shared_head_norm", Copy{}},
	})
}

func glm4MoeContract(md *gguf.Metadata) []gguf.TensorInfo {
	d := readDims(md)
	dense, ff, mtp := d.key("leading_dense_block_count"), d.key("expert_feed_forward_length"), d.blocks-int(d.keyOr("nextn_predict_layers", 0))
	ts := d.frame()
	for b := range d.blocks {
		ts = append(ts, d.attention(b)[:5]...) // the norm behind attention has another name here
		ts = append(ts, d.vec(b, "post_attention_norm", d.embd))
		ts = append(ts, d.qkvBias(b)...)
		ts = append(ts, d.qkNorms(b)...)
		if int64(b) < dense {
			ts = append(ts, d.ffn(b, d.ff, names.FFNGate, names.FFNUp, names.FFNDown)...)
		} else {
			ts = append(ts, d.experts(b, ff)...)
			ts = append(ts, d.bias(b, "exp_probs_b", d.expert))
			ts = append(ts, d.ffn(b, ff*d.key("expert_shared_count"), names.FFNGateShexp, names.FFNUpShexp, names.FFNDownShexp)...)
		}
		if b >= mtp {
			ts = append(ts, d.mat(b, "nextn.eh_proj", 2*d.embd, d.embd), d.vec(b, "nextn.enorm", d.embd), d.vec(b, "nextn.hnorm", d.embd),
				d.mat(b, "nextn.embed_tokens", d.embd, d.vocab), d.mat(b, "nextn.shared_head_head", d.embd, d.vocab), d.vec(b, "nextn.shared_head_norm", d.embd))
		}
	}
	return ts
}
