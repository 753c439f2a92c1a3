package family

import (
	"slices"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/gguf/names"
)

// ERNIE-4.5-MoE: the first blocks dense, then softmax-routed experts, chosen with a correction, beside shared ones;
// what belongs to multi-token prediction is left out.
func init() {
	register(Family{
		Arch:     "ernie4_5-moe",
		Classes:  []string{"Ernie4_5_MoeForCausalLM"},
		Example:  "baidu/ERNIE-4.5-21B-A3B-PT",
		Only:     ernie45MoeOnly,
		Check:    checkErnie45Moe,
		Adjust:   adjustErnie45Moe,
		Keys:     ernie45MoeKeys,
		Rules:    ernie45MoeRules,
		Contract: ernie45MoeContract,
		Required: []string{"feed_forward_length", "expert_count", "expert_used_count", "expert_feed_forward_length", "interleave_moe_layer_step"},
		Optional: []names.Role{names.OutputWeight, "exp_probs_b.bias"},
		Vocab:    []string{"ernie"},
		Graph:    &Graph{Rope: RopeNorm, Gate: Softmax, NormalizeWeights: true},
	})
}

var ernie45MoeOnly = []Only{
	{"use_bias", false, "llama.cpp's graph of this architecture has no biases"},
	{"moe_layer_interval", int64(1), "llama.cpp has a mixture of experts in every block after the dense ones"},
	{"moe_gate", "topk", ""},
	{"sliding_window", nil, ""},
}

func adjustErnie45Moe(c Config) Config {
	c = defaults{"rms_norm_eps": "1e-05"}.fill(c)
	if !c.Rope().Full().Has("rope_theta") {
		c = defaults{"rope_theta": "500000.0"}.fill(c)
	}
	return c
}

func checkErnie45Moe(c Config) error {
	if err := c.checkAttention(); err != nil {
		return err
	}
	c.counts("vocab_size", "intermediate_size", "moe_intermediate_size", "max_position_embeddings", "num_key_value_heads", "moe_num_experts", "moe_k", "num_hidden_layers")
	layers, experts, used := c.Count("num_hidden_layers"), c.Count("moe_num_experts"), c.Count("moe_k")
	if used > experts {
		c.fail("moe_k %d exceeds the %d experts of moe_num_experts", used, experts)
	}
	if start := c.IntOr("moe_layer_start_index", 1); start > layers {
		c.fail("moe_layer_start_index %d exceeds num_hidden_layers %d", start, layers)
	}
	if v := c.Raw("moe_layer_end_index"); v != nil && !equalValue(v, int64(-1)) && c.Err() == nil && c.Int("moe_layer_end_index") < layers-1 {
		return &gguf.UnsupportedError{Msg: "config.json: moe_layer_end_index is before the last layer: llama.cpp has a mixture of experts in every block after the dense ones"}
	}
	for _, key := range []string{"moe_layer_end_index", "moe_capacity", "moe_use_aux_free", "num_nextn_predict_layers", "moe_norm_min"} {
		c.Has(key) // of training, or of the layers left out
	}
	c.IntOr("moe_num_shared_experts", 0)
	return c.checkRopeType("linear", "yarn")
}

func ernie45MoeKeys(c Config, md *gguf.Metadata) error {
	md.Set(md.ArchKey("expert_count"), uint32(c.Count("moe_num_experts")))
	md.Set(md.ArchKey("expert_used_count"), uint32(c.Count("moe_k")))
	md.Set(md.ArchKey("interleave_moe_layer_step"), uint32(c.CountOr("moe_layer_interval", 1)))
	md.Set(md.ArchKey("leading_dense_block_count"), uint32(c.IntOr("moe_layer_start_index", 1)))
	md.Set(md.ArchKey("expert_feed_forward_length"), uint32(c.Count("moe_intermediate_size")))
	shared := c.IntOr("moe_num_shared_experts", 2)
	md.Set(md.ArchKey("expert_shared_count"), uint32(shared))
	if shared > 0 { // the reference's way to the width of the shared experts; the contract says whether it is the right one
		md.Set(md.ArchKey("expert_shared_feed_forward_length"), uint32(c.Count("intermediate_size")/max(1, c.Count("num_key_value_heads"))))
	}
	return c.Err()
}

func ernie45MoeRules(c Config) []Rule {
	stack := Stack{Experts: c.Count("moe_num_experts"), Group: "experts"}
	return slices.Concat(decoderRules(names.FFNNorm), denseRules(), sharedRules("shared_experts"), []Rule{
		{"model.layers.{b}.mlp.gate.weight", names.FFNGateInp, Copy{}},
		{"model.layers.{b}.mlp.moe_statics.e_score_correction.bias", "exp_probs_b", Copy{}},
		{"model.layers.{b}.mlp.experts.{x}.gate_proj.weight", names.FFNGateExps, stack},
		{"model.layers.{b}.mlp.experts.{x}.up_proj.weight", names.FFNUpExps, stack},
		{"model.layers.{b}.mlp.experts.{x}.down_proj.weight", names.FFNDownExps, stack},
		{"model.mtp_block.{*}", "", Drop{}},
		{"model.mtp_emb_norm.{*}", "", Drop{}},
		{"model.mtp_hidden_norm.{*}", "", Drop{}},
		{"model.mtp_linear_proj.{*}", "", Drop{}},
	})
}

func ernie45MoeContract(md *gguf.Metadata) []gguf.TensorInfo {
	d := readDims(md)
	dense, shared := d.key("leading_dense_block_count"), d.keyOr("expert_shared_feed_forward_length", 0)
	ts := d.frame()
	for b := range d.blocks {
		ts = append(ts, d.attention(b)...)
		if int64(b) < dense {
			ts = append(ts, d.ffn(b, d.ff, names.FFNGate, names.FFNUp, names.FFNDown)...)
			continue
		}
		ts = append(ts, d.experts(b, d.key("expert_feed_forward_length"))...)
		ts = append(ts, d.bias(b, "exp_probs_b", d.expert))
		if shared > 0 {
			ts = append(ts, d.ffn(b, shared, names.FFNGateShexp, names.FFNUpShexp, names.FFNDownShexp)...)
		}
	}
	return ts
}
