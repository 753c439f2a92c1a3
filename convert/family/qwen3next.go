package family

import (
	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/gguf/names"
)

// Qwen3-Next: gated delta nets with gated attention in every fourth block; the nets' projections lie together, by key head.
func init() {
	register(Family{
		Arch:     "qwen3next",
		Classes:  []string{"Qwen3NextForCausalLM"},
		Example:  "Qwen/Qwen3-Next-80B-A3B-Instruct",
		Only:     deltaOnly,
		Check:    checkQwen3Next,
		Infer:    inferMTP,
		Rename:   renameMTP,
		Adjust:   adjustQwen3Next,
		Keys:     deltaKeys,
		Rules:    qwen3NextRules,
		Contract: qwen3NextContract,
		Required: deltaRequired,
		Optional: deltaOptional,
		Reads:    []string{"partial_rotary_factor"},
		Pre:      []string{"qwen2"},
		Graph:    &Graph{Rope: RopeNeox, GatedQuery: true, Gate: Softmax, NormalizeWeights: true},
	})
}

var deltaDefaults = defaults{"rms_norm_eps": "1e-06", "head_dim": "256"}

// adjustDelta counts the blocks of multi-token prediction among all.
func adjustDelta(c Config) Config {
	return deltaDefaults.fillRope(c).WithInt("num_hidden_layers", c.Count("num_hidden_layers")+c.mtpBlocks())
}

// adjustQwen3Next is adjustDelta, with the width of a dense network that no block has: files of this architecture say it all the same.
func adjustQwen3Next(c Config) Config {
	return adjustDelta(defaults{"intermediate_size": "5632"}.fill(c))
}

func checkQwen3Next(c Config) error {
	c.CountOr("intermediate_size", 1)
	return checkDelta(deltaDefaults.fill(c))
}

func qwen3NextRules(c Config) []Rule {
	keys, size, kernel := c.Count("linear_num_key_heads"), c.Count("linear_key_head_dim"), c.Count("linear_conv_kernel_dim")
	wide := c.Count("linear_num_value_heads") / max(1, keys) * c.Count("linear_value_head_dim") // of the values of one key head
	// The rows of each key head lie together: query, key, values, gates.
	part := func(from, count int64) Op { return Chain{Group{keys}, Rows{From: from, Count: count}, Flatten{}} }
	return deltaRules(c, []Rule{
		{"model.layers.{b}.linear_attn.in_proj_qkvz.weight", "", Split{
			{"attn_qkv", Join{part(0, size), part(size, size), part(2*size, wide)}}, {"attn_gate", part(2*size+wide, wide)}}},
		{"model.layers.{b}.linear_attn.in_proj_ba.weight", "ssm_ba", Copy{}},
		{"model.layers.{b}.linear_attn.conv1d.weight", "ssm_conv1d", Reshape{[]int64{0, kernel}}},
		{"model.layers.{b}.linear_attn.A_log", "ssm_a", As{"", decay}},
		{"model.layers.{b}.linear_attn.dt_bias", "ssm_dt", Copy{}},
		{"model.layers.{b}.linear_attn.out_proj.weight", "ssm_out", Copy{}},
	})
}

func qwen3NextContract(md *gguf.Metadata) []gguf.TensorInfo {
	return deltaContract(md, func(d dims, b int, heads int64) []gguf.TensorInfo {
		return []gguf.TensorInfo{d.mat(b, names.Role("ssm_ba"), d.embd, 2*heads)}
	})
}
