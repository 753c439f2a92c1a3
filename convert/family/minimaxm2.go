package family

import (
	"fmt"
	"slices"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/gguf/names"
)

// MiniMax-M2: queries and keys normalised over all heads at once, a part of each head rotated, every block a
// mixture of sigmoid-routed experts.
func init() {
	register(Family{
		Arch:     "minimax-m2",
		Classes:  []string{"MiniMaxM2ForCausalLM"},
		Example:  "MiniMaxAI/MiniMax-M2",
		Only:     minimaxM2Only,
		Check:    checkMinimaxM2,
		Adjust:   adjustMinimaxM2,
		Keys:     minimaxM2Keys,
		Rules:    minimaxM2Rules,
		Contract: minimaxM2Contract,
		Required: []string{"feed_forward_length", "expert_count", "expert_used_count", "expert_feed_forward_length", "rope.dimension_count", "expert_gating_func"},
		Reads:    []string{"partial_rotary_factor"},
		Pre:      []string{"minimax-m2"},
		Graph:    &Graph{Rope: RopeNeox, NormalizeWeights: true, FromFile: KeyedGate},
	})
}

var minimaxM2Only = []Only{
	{"scoring_func", "sigmoid", "the experts of this architecture are always gated by sigmoid"},
	{"qk_norm_type", "per_layer", "llama.cpp normalises queries and keys over all heads in this architecture"},
	{"use_qk_norm", true, "llama.cpp needs the norms of queries and keys in this architecture"},
	{"use_routing_bias", true, "llama.cpp needs the routing bias in this architecture"},
	{"shared_intermediate_size", int64(0), "llama.cpp has no shared experts in this architecture"},
	{"sliding_window", nil, "llama.cpp attends to everything in this architecture"},
	{"attention_bias", false, ""},
}

var minimaxM2Defaults = defaults{"rms_norm_eps": "1e-06", "head_dim": "128"}

func adjustMinimaxM2(c Config) Config {
	c = minimaxM2Defaults.fill(c)
	if !c.Rope().Full().Has("rope_theta") {
		c = defaults{"rope_theta": "5000000.0"}.fill(c)
	}
	return c
}

func checkMinimaxM2(c Config) error {
	c = minimaxM2Defaults.fill(c)
	if err := c.checkAttention(); err != nil {
		return err
	}
	if err := c.checkTopK("num_local_experts"); err != nil {
		return err
	}
	c.counts("vocab_size", "intermediate_size", "max_position_embeddings", "num_key_value_heads", "num_hidden_layers")
	if r := c.Count("rotary_dim"); c.Err() == nil && (r%2 != 0 || r > c.headDim()) {
		c.fail("rotary_dim %d does not fit heads of %d elements", r, c.headDim())
	}
	if c.StringOr("scoring_func", "") == "" {
		c.fail("scoring_func is missing: files of this architecture must say how experts are gated, write sigmoid into it")
	}
	for _, key := range []string{"use_mtp", "num_mtp_modules", "mtp_transformer_layers"} {
		c.Has(key) // the published checkpoints have no tensors of multi-token prediction
	}
	for b, kind := range c.Ints("attn_type_list") {
		if kind != 1 {
			return &gguf.UnsupportedError{Msg: fmt.Sprintf("config.json: attn_type_list: layer %d is %d, llama.cpp has full attention (1) in every block of this architecture", b, kind)}
		}
	}
	return c.checkRopeType("linear", "yarn")
}

func minimaxM2Keys(c Config, md *gguf.Metadata) error {
	md.Set(md.ArchKey("expert_feed_forward_length"), uint32(c.Count("intermediate_size")))
	md.Set(md.ArchKey("rope.dimension_count"), uint32(c.Count("rotary_dim")))
	return c.Err()
}

func minimaxM2Rules(c Config) []Rule {
	stack := Stack{Experts: c.Count("num_local_experts"), Group: "experts"}
	return slices.Concat(decoderRules(names.FFNNorm), qkNormRules(), []Rule{
		{"model.layers.{b}.block_sparse_moe.gate.weight", names.FFNGateInp, Copy{}},
		{"model.layers.{b}.block_sparse_moe.e_score_correction.bias", "exp_probs_b", Copy{}},
		{"model.layers.{b}.block_sparse_moe.experts.{x}.w1.weight", names.FFNGateExps, stack},
		{"model.layers.{b}.block_sparse_moe.experts.{x}.w2.weight", names.FFNDownExps, stack},
		{"model.layers.{b}.block_sparse_moe.experts.{x}.w3.weight", names.FFNUpExps, stack},
	})
}

func minimaxM2Contract(md *gguf.Metadata) []gguf.TensorInfo {
	d := readDims(md)
	ts := d.frame()
	for b := range d.blocks {
		ts = append(ts, d.attention(b)...)
		ts = append(ts, d.vec(b, "attn_q_norm", d.heads*d.headDim), d.vec(b, "attn_k_norm", d.headsKV*d.headDim))
		ts = append(ts, d.experts(b, d.ff)...)
		ts = append(ts, d.bias(b, "exp_probs_b", d.expert))
	}
	return ts
}
