package family

import (
	"slices"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/gguf/names"
)

// Granite-MoE: multipliers throughout, every block a mixture of experts that lie fused in one tensor, gate above
// up; GraniteMoeShared has a shared expert beside them.
func init() {
	register(Family{
		Arch:     "granitemoe",
		Classes:  []string{"GraniteMoeForCausalLM", "GraniteMoeSharedForCausalLM"},
		Example:  "ibm-granite/granite-3.1-1b-a400m-instruct",
		Only:     []Only{{"attention_bias", false, "llama.cpp's graph of this architecture has no attention biases"}},
		Check:    checkGraniteMoe,
		Adjust:   adjustGraniteMoe,
		Keys:     graniteMoeKeys,
		Rules:    graniteMoeRules,
		Contract: graniteMoeContract,
		Required: []string{"feed_forward_length", "expert_count", "expert_used_count"},
		Optional: []names.Role{names.OutputWeight},
		Vocab:    []string{"llama"},
		Pre:      []string{"refact"},
		Graph:    &Graph{Rope: RopeNorm, Gate: Softmax, NormalizeWeights: true},
	})
}

// graniteScales are the multipliers with their keys, in the order in which they are written; 1 where config.json has none.
var graniteScales = []struct{ field, key string }{
	{"attention_multiplier", "attention.scale"},
	{"embedding_multiplier", "embedding_scale"},
	{"residual_multiplier", "residual_scale"},
	{"logits_scaling", "logit_scale"},
}

// adjustGraniteMoe drops head_dim, which this architecture does not have.
func adjustGraniteMoe(c Config) Config {
	return defaults{"rms_norm_eps": "1e-06"}.fillRope(c).With("head_dim", nil)
}

func checkGraniteMoe(c Config) error {
	c.Has("head_dim")
	c = c.With("head_dim", nil)
	if err := c.checkAttention(); err != nil {
		return err
	}
	if err := c.checkTopK("num_local_experts"); err != nil {
		return err
	}
	c.counts("vocab_size", "intermediate_size", "max_position_embeddings", "num_key_value_heads")
	c.IntOr("shared_intermediate_size", 0)
	for _, s := range graniteScales {
		if c.Has(s.field) {
			c.positive(s.field)
		}
	}
	return c.checkRopeType("linear", "yarn")
}

// positive is a number field that must be above 0.
func (c Config) positive(key string) float64 {
	f := c.Float(key)
	if c.Err() == nil && !(f > 0) {
		c.fail("%s must be positive, got %v", key, f)
	}
	return f
}

func graniteMoeKeys(c Config, md *gguf.Metadata) error {
	md.Set(md.ArchKey("vocab_size"), uint32(c.Count("vocab_size")))
	md.Set(md.ArchKey("rope.dimension_count"), uint32(c.With("head_dim", nil).headDim()))
	for _, s := range graniteScales {
		md.Set(md.ArchKey(s.key), float32(defaults{s.field: "1.0"}.fill(c).Float(s.field)))
	}
	if n := c.IntOr("shared_intermediate_size", 0); n > 0 {
		md.Set(md.ArchKey("expert_shared_feed_forward_length"), uint32(n))
	}
	return c.Err()
}

func graniteMoeRules(c Config) []Rule {
	heads := c.Count("num_attention_heads")
	ff, shared := c.Count("intermediate_size"), c.IntOr("shared_intermediate_size", 0)
	rules := slices.DeleteFunc(decoderRules(names.FFNNorm), func(r Rule) bool { return r.To == names.AttnQ || r.To == names.AttnK })
	return append(rules,
		Rule{"model.layers.{b}.self_attn.q_proj.weight", names.AttnQ, PermuteRope{Heads: heads}},
		Rule{"model.layers.{b}.self_attn.k_proj.weight", names.AttnK, PermuteRope{Heads: c.CountOr("num_key_value_heads", heads)}},
		Rule{"model.layers.{b}.block_sparse_moe.router.layer.weight", names.FFNGateInp, Copy{}},
		Rule{"model.layers.{b}.block_sparse_moe.output_linear.weight", names.FFNDownExps, Copy{}},
		Rule{"model.layers.{b}.block_sparse_moe.input_linear.weight", "", Split{{names.FFNGateExps, Rows{Count: ff}}, {names.FFNUpExps, Rows{From: ff}}}},
		Rule{"model.layers.{b}.shared_mlp.output_linear.weight", names.FFNDownShexp, Copy{}},
		Rule{"model.layers.{b}.shared_mlp.input_linear.weight", "", Split{{names.FFNGateShexp, Rows{Count: shared}}, {names.FFNUpShexp, Rows{From: shared}}}})
}

func graniteMoeContract(md *gguf.Metadata) []gguf.TensorInfo {
	d := readDims(md)
	shared := d.keyOr("expert_shared_feed_forward_length", 0)
	ts := d.frame()
	for b := range d.blocks {
		ts = append(ts, d.attention(b)...)
		ts = append(ts, d.experts(b, d.ff)...)
		if shared > 0 {
			ts = append(ts, d.ffn(b, shared, names.FFNGateShexp, names.FFNUpShexp, names.FFNDownShexp)...)
		}
	}
	return ts
}
