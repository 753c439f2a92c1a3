package family

import (
	"github.com/moeconv/moeconv/gguf"
)

// Qwen3.5-MoE: as Qwen3-Next, with positions in several dimensions; llama.cpp wants the value heads of the gated delta
// nets side by side across the key heads, not below them. Of the multimodal models, the text part.
func init() {
	register(Family{
		Arch:     "qwen35moe",
		Classes:  []string{"Qwen3_5MoeForConditionalGeneration", "Qwen3_5MoeForCausalLM"},
		Example:  "Qwen/Qwen3.5-35B-A3B",
		Only:     deltaOnly,
		Check:    checkQwen35Moe,
		Infer:    inferMTP,
		Rename:   renameMTP,
		Adjust:   adjustDelta,
		Keys:     qwen35MoeKeys,
		Rules:    qwen35MoeRules,
		Contract: qwen35MoeContract,
		Required: deltaRequired,
		Optional: deltaOptional,
		Reads:    []string{"partial_rotary_factor"},
		Pre:      []string{"qwen35", "qwen2"},
		Graph:    &Graph{Rope: RopeNeox, GatedQuery: true, TiledHeads: true, Gate: Softmax, NormalizeWeights: true},
	})
}

func checkQwen35Moe(c Config) error {
	for _, key := range []string{"vision_config", "image_token_id", "video_token_id", "vision_start_token_id", "vision_end_token_id"} {
		c.Has(key) // of the parts that are left out
	}
	return checkDelta(deltaDefaults.fill(c))
}

func qwen35MoeKeys(c Config, md *gguf.Metadata) error {
	if err := deltaKeys(c, md); err != nil {
		return err
	}
	if !c.Rope().Has("mrope_section") { // the model's own default
		md.Set(md.ArchKey("rope.dimension_sections"), []int32{11, 11, 10, 0})
	}
	return c.Err()
}

func qwen35MoeRules(c Config) []Rule {
	keys, size, kernel, hidden := c.Count("linear_num_key_heads"), c.Count("linear_key_head_dim"), c.Count("linear_conv_kernel_dim"), c.Count("hidden_size")
	perKey := c.Count("linear_num_value_heads") / max(1, keys)
	// tiled moves value heads, of so many numbers each, from below their key heads to side by side.
	tiled := func(numbers int64, dims ...int64) Chain {
		return Chain{Reshape{[]int64{keys, perKey, numbers}}, Swap{}, Reshape{dims}}
	}
	// behindKeys tiles the rows of values, which follow those of queries and keys.
	behindKeys := func(columns int64) Op {
		rows := 2 * keys * size
		return Join{Rows{Count: rows}, append(Chain{Rows{From: rows}}, tiled(size*columns, 0, columns)...)}
	}
	return deltaRules(c, []Rule{
		{"model.layers.{b}.linear_attn.in_proj_qkv.weight", "attn_qkv", behindKeys(hidden)},
		{"model.layers.{b}.linear_attn.in_proj_z.weight", "attn_gate", tiled(size*hidden, 0, hidden)},
		{"model.layers.{b}.linear_attn.in_proj_a.weight", "ssm_alpha", tiled(hidden, 0, hidden)},
		{"model.layers.{b}.linear_attn.in_proj_b.weight", "ssm_beta", tiled(hidden, 0, hidden)},
		{"model.layers.{b}.linear_attn.conv1d.weight", "ssm_conv1d", Chain{Reshape{[]int64{0, kernel}}, behindKeys(kernel)}},
		{"model.layers.{b}.linear_attn.A_log", "ssm_a", As{"", append(tiled(1, 0), decay)}},
		{"model.layers.{b}.linear_attn.dt_bias", "ssm_dt", tiled(1, 0)},
		{"model.layers.{b}.linear_attn.out_proj.weight", "ssm_out", Chain{Reshape{[]int64{hidden, keys, perKey, size}}, Swap{}, Reshape{[]int64{hidden, 0}}}},
	})
}

func qwen35MoeContract(md *gguf.Metadata) []gguf.TensorInfo {
	return deltaContract(md, func(d dims, b int, heads int64) []gguf.TensorInfo {
		return []gguf.TensorInfo{d.mat(b, "ssm_alpha", d.embd, heads), d.mat(b, "ssm_beta", d.embd, heads)}
	})
}
