package family

import (
	"slices"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/gguf/names"
)

// Qwen2 and Qwen2.5: dense, with biased attention.
func init() {
	register(Family{
		Arch:     "qwen2",
		Classes:  []string{"Qwen2ForCausalLM"},
		Example:  "Qwen/Qwen2.5-7B-Instruct",
		Only:     qwenOnly,
		Check:    checkQwen2,
		Adjust:   qwenDefaults.fillRope,
		Keys:     noKeys,
		Rules:    qwen2Rules,
		Contract: qwen2Contract,
		Required: []string{"feed_forward_length"},
		Optional: append([]names.Role{names.OutputWeight}, qkvBiases...),
		Vocab:    []string{"sentencepiece", "gpt2"},
		Pre:      []string{"qwen2"},
		Graph:    &Graph{Rope: RopeNeox},
	})
}

func checkQwen2(c Config) error {
	if err := checkQwen(c); err != nil {
		return err
	}
	c.Count("intermediate_size")
	return c.checkWideHeads()
}

// noKeys is for families whose metadata is what all have in common.
func noKeys(c Config, _ *gguf.Metadata) error { return c.Err() }

func qwen2Rules(Config) []Rule { return slices.Concat(decoderRules(names.FFNNorm), denseRules()) }

func qwen2Contract(md *gguf.Metadata) []gguf.TensorInfo {
	d := readDims(md)
	ts := d.frame()
	for b := range d.blocks {
		ts = append(ts, d.attention(b)...)
		ts = append(ts, d.qkvBias(b)...)
		ts = append(ts, d.ffn(b, d.ff, names.FFNGate, names.FFNUp, names.FFNDown)...)
	}
	return ts
}
