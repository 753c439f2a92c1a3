package family

import (
	"math"
	"strings"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/gguf/names"
)

// negExp is -exp(v), rounded once. It makes the decay of a layer's state from its logarithm.
// The reference's library is right to a bit less than that, and differently so on different processors.
func negExp(v float32) float32 { return -float32(math.Exp(float64(v))) }

// bare is a block's tensor whose name has no suffix, as those of a layer's state.
func (d dims) bare(b int, r names.Role, shape ...int64) gguf.TensorInfo {
	return gguf.TensorInfo{Name: names.Name{Role: r, Block: b}.String(), Shape: shape}
}

// countKeys writes pairs of a key, without the architecture's prefix, and the field it takes its positive integer from.
func (c Config) countKeys(md *gguf.Metadata, pairs ...string) {
	for i := 0; i+1 < len(pairs); i += 2 {
		md.Set(md.ArchKey(pairs[i]), uint32(c.Count(pairs[i+1])))
	}
}

var nemotronHLetters = strings.NewReplacer("linear_attention", "M", "mamba", "M", "full_attention", "*", "attention", "*", "moe", "E", "mlp", "-")

// nemotronHKinds are the blocks' kinds: M for Mamba, * for attention, E for experts.
func nemotronHKinds(c Config) string {
	return c.StringOr("hybrid_override_pattern", nemotronHLetters.Replace(strings.Join(c.Strings("layers_block_type"), "")))
}

// mamba2Rules are the tensors of a block of Mamba 2, whose names begin with prefix.
func mamba2Rules(prefix string, kernel, groups int64) []Rule {
	column := Reshape{Dims: []int64{0, 1}}
	return []Rule{
		{prefix + "in_proj.weight", "ssm_in", Copy{}},
		{prefix + "conv1d.weight", "ssm_conv1d", Reshape{Dims: []int64{0, kernel}}},
		{prefix + "conv1d.bias", "ssm_conv1d", Copy{}},
		{prefix + "dt_bias", "ssm_dt", Copy{}},
		{prefix + "A_log", "ssm_a", As{"", Chain{Map{negExp}, column}}},
		{prefix + "D", "ssm_d", As{"", column}},
		{prefix + "norm.weight", "ssm_norm", Reshape{Dims: []int64{groups, 0}}},
		{prefix + "out_proj.weight", "ssm_out", Copy{}},
	}
}

// mamba2 are the tensors of a block of Mamba 2, without its norm before.
func (d dims) mamba2(b int) []gguf.TensorInfo {
	inner, groups, heads := d.key("ssm.inner_size"), max(1, d.key("ssm.group_count")), d.key("ssm.time_step_rank")
	conv := inner + 2*groups*d.key("ssm.state_size")
	return []gguf.TensorInfo{
		d.mat(b, "ssm_in", d.embd, inner+conv+heads), d.mat(b, "ssm_conv1d", d.key("ssm.conv_kernel"), conv), d.bias(b, "ssm_conv1d", conv),
		d.bias(b, "ssm_dt", heads), d.bare(b, "ssm_a", 1, heads), d.bare(b, "ssm_d", 1, heads), d.mat(b, "ssm_norm", inner/groups, groups), d.mat(b, "ssm_out", inner, d.embd),
	}
}
