package offload

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/gguf/names"
)

// inventory is a model's header without its data.
type inventory struct {
	md      *gguf.Metadata
	tensors []gguf.TensorInfo
}

func (m *inventory) add(name string, t gguf.Type, shape ...int64) {
	m.tensors = append(m.tensors, gguf.TensorInfo{Name: name, Type: t, Shape: shape})
}

func (m *inventory) histogram() string {
	counts := map[string]int{}
	for _, t := range m.tensors {
		counts[t.Type.GGMLName()]++
	}
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(counts)) {
		parts = append(parts, fmt.Sprintf("%s %d", k, counts[k]))
	}
	return strings.Join(parts, " ")
}

func newInventory(arch string, blocks, experts uint32) inventory {
	md := &gguf.Metadata{}
	md.Set("general.architecture", arch)
	md.Set(arch+".block_count", blocks)
	md.Set(arch+".expert_count", experts)
	return inventory{md: md}
}

// deepseek is DeepSeek-MoE-16B.
func deepseek(scheme string) inventory {
	m := newInventory("deepseek", 28, 64)
	w := func(name string, ne0 int64, rest ...int64) {
		m.add(name, weightType(scheme, name, ne0, 28, 1), append([]int64{ne0}, rest...)...)
	}
	w("output.weight", 2048, 102400)
	m.add("output_norm.weight", gguf.F32, 2048)
	w("token_embd.weight", 2048, 102400)
	for i := range 28 {
		blk := fmt.Sprintf("blk.%d.", i)
		m.add(blk+"attn_norm.weight", gguf.F32, 2048)
		for _, r := range []string{"q", "k", "v", "output"} {
			w(blk+"attn_"+r+".weight", 2048, 2048)
		}
		m.add(blk+"ffn_norm.weight", gguf.F32, 2048)
		if i == 0 {
			w(blk+"ffn_gate.weight", 2048, 10944)
			w(blk+"ffn_up.weight", 2048, 10944)
			w(blk+"ffn_down.weight", 10944, 2048)
			continue
		}
		m.add(blk+"ffn_gate_inp.weight", gguf.F32, 2048, 64)
		w(blk+"ffn_gate_exps.weight", 2048, 1408, 64)
		w(blk+"ffn_up_exps.weight", 2048, 1408, 64)
		w(blk+"ffn_down_exps.weight", 1408, 2048, 64)
		w(blk+"ffn_gate_shexp.weight", 2048, 2816)
		w(blk+"ffn_up_shexp.weight", 2048, 2816)
		w(blk+"ffn_down_shexp.weight", 2816, 2048)
	}
	return m
}

// phi is Phi-3.5-MoE.
func phi(scheme string) inventory {
	m := newInventory("phimoe", 32, 16)
	w := func(name string, bias bool, ne0 int64, rest ...int64) {
		m.add(name+".weight", weightType(scheme, name+".weight", ne0, 32, 4), append([]int64{ne0}, rest...)...)
		if bias {
			m.add(name+".bias", gguf.F32, rest[0])
		}
	}
	norm := func(name string) {
		m.add(name+".weight", gguf.F32, 4096)
		m.add(name+".bias", gguf.F32, 4096)
	}
	w("token_embd", false, 4096, 32064)
	w("output", true, 4096, 32064)
	norm("output_norm")
	m.add("rope_factors_long.weight", gguf.F32, 64)
	m.add("rope_factors_short.weight", gguf.F32, 64)
	for i := range 32 {
		blk := fmt.Sprintf("blk.%d.", i)
		norm(blk + "attn_norm")
		norm(blk + "ffn_norm")
		w(blk+"attn_q", true, 4096, 4096)
		w(blk+"attn_k", true, 4096, 1024)
		w(blk+"attn_v", true, 4096, 1024)
		w(blk+"attn_output", true, 4096, 4096)
		m.add(blk+"ffn_gate_inp.weight", gguf.F32, 4096, 16)
		w(blk+"ffn_gate_exps", false, 4096, 6400, 16)
		w(blk+"ffn_up_exps", false, 4096, 6400, 16)
		w(blk+"ffn_down_exps", false, 6400, 4096, 16)
	}
	return m
}

// oss is GPT-OSS-20B as converted: MXFP4 experts, the rest F16.
func oss() inventory {
	m := newInventory("gpt-oss", 24, 32)
	m.add("token_embd.weight", gguf.F16, 2880, 201088)
	m.add("output.weight", gguf.F16, 2880, 201088)
	m.add("output_norm.weight", gguf.F32, 2880)
	for i := range 24 {
		blk := fmt.Sprintf("blk.%d.", i)
		m.add(blk+"attn_norm.weight", gguf.F32, 2880)
		m.add(blk+"post_attention_norm.weight", gguf.F32, 2880)
		m.add(blk+"attn_sinks.weight", gguf.F32, 64)
		for role, dims := range map[string][2]int64{"attn_q": {2880, 4096}, "attn_k": {2880, 512}, "attn_v": {2880, 512}, "attn_output": {4096, 2880}} {
			m.add(blk+role+".weight", gguf.F16, dims[0], dims[1])
			m.add(blk+role+".bias", gguf.F32, dims[1])
		}
		m.add(blk+"ffn_gate_inp.weight", gguf.F32, 2880, 32)
		m.add(blk+"ffn_gate_inp.bias", gguf.F32, 32)
		for _, role := range []string{"gate", "up", "down"} {
			m.add(blk+"ffn_"+role+"_exps.weight", gguf.MXFP4, 2880, 2880, 32)
			m.add(blk+"ffn_"+role+"_exps.bias", gguf.F32, 2880, 32)
		}
	}
	return m
}

// weightType is the type llama-quantize b6686, which made the published files, gave a weight matrix.
func weightType(scheme, name string, ne0 int64, blocks, gqa int) gguf.Type {
	n := names.Parse(name)
	i, role := n.Block, n.Role
	down := role == names.FFNDown || role == names.FFNDownExps || role == names.FFNDownShexp
	switch scheme {
	case "F16":
		return gguf.F16
	case "Q8_0":
		return gguf.Q8_0
	case "Q2_K":
		switch {
		case role == names.OutputWeight:
			return gguf.Q6_K
		case role == names.AttnV && gqa >= 4:
			return gguf.Q4_K
		case down && ne0%256 != 0:
			return gguf.IQ4_NL
		case down || role == names.AttnV || role == names.AttnOutput:
			return gguf.Q3_K
		}
		return gguf.Q2_K
	}
	more := i < blocks/8 || i >= 7*blocks/8 || (i-blocks/8)%3 == 2
	switch {
	case role == names.OutputWeight:
		return gguf.Q6_K
	case down && ne0%256 != 0 && more:
		return gguf.Q8_0
	case down && ne0%256 != 0:
		return gguf.Q5_0
	case (down || role == names.AttnV) && more:
		return gguf.Q6_K
	}
	return gguf.Q4_K
}
