package family

import (
	"slices"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/gguf/names"
)

// Qwen3: dense, with norms of queries and keys per head.
func init() {
	register(Family{
		Arch:     "qwen3",
		Classes:  []string{"Qwen3ForCausalLM"},
		Example:  "Qwen/Qwen3-8B",
		Only:     append([]Only{{"attention_bias", false, "llama.cpp has no bias of the attention's output in this architecture"}}, qwenOnly...),
		Check:    checkQwen3,
		Adjust:   qwen3Defaults.fillRope,
		Keys:     noKeys,
		Rules:    qwen3Rules,
		Contract: qwen3Contract,
		Required: []string{"feed_forward_length"},
		Optional: []names.Role{names.OutputWeight},
		Vocab:    []string{"sentencepiece", "gpt2"},
		Pre:      []string{"qwen2"},
		Graph:    &Graph{Rope: RopeNeox},
	})
}

var qwen3Defaults = defaults{"rms_norm_eps": "1e-06", "head_dim": "128"}

func checkQwen3(c Config) error {
	c.Count("intermediate_size")
	return checkQwen(qwen3Defaults.fill(c))
}

func qwen3Rules(Config) []Rule {
	return slices.Concat(decoderRules(names.FFNNorm), qkNormRules(), denseRules())
}

func qwen3Contract(md *gguf.Metadata) []gguf.TensorInfo {
	d := readDims(md)
	ts := d.frame()
	for b := range d.blocks {
		ts = append(ts, d.attention(b)...)
		ts = append(ts, d.qkNorms(b)...)
		ts = append(ts, d.ffn(b, d.ff, names.FFNGate, names.FFNUp, names.FFNDown)...)
	}
	return ts
}
