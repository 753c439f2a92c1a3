package family

import (
	"fmt"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/gguf/names"
)

// Mistral Small 4: DeepSeek-V3's layout with softmax gating, all experts in one tensor and gate and up left together.
func init() {
	register(Family{
		Arch:     "mistral4",
		Classes:  []string{"Mistral3ForConditionalGeneration"},
		Example:  "mistralai/Mistral-Small-4-119B-2603",
		Only:     deepseek2Only,
		Check:    checkMistral4,
		Adjust:   deepseek2Common,
		Keys:     deepseek2Keys,
		Rules:    mistral4Rules,
		Contract: mistral4Contract,
		Required: latentRequired,
		Optional: latentOptional,
		Vocab:    []string{"gpt2", "kimi"},
		Pre:      []string{"tekken"},
		Graph:    &Graph{Rope: RopeNorm, Tune: Tuning{FromFile: true}, Gate: Softmax, FromFile: KeyedRouting},
	})
}

func checkMistral4(c Config) error {
	if kind := c.StringOr("model_type", ""); kind != "mistral4" {
		return &gguf.UnsupportedError{Msg: fmt.Sprintf("config.json: model_type %s of Mistral3ForConditionalGeneration is not supported: its text part is no mixture of experts", kind)}
	}
	return checkLatent(c)
}

func mistral4Rules(c Config) []Rule {
	return append(latentRules(c),
		Rule{"model.layers.{b}.mlp.experts.gate_up_proj", names.FFNGateUpExps, Copy{}},
		Rule{"model.layers.{b}.mlp.experts.down_proj", names.FFNDownExps, Copy{}})
}

func mistral4Contract(md *gguf.Metadata) []gguf.TensorInfo {
	var out []gguf.TensorInfo
	for _, t := range latentContract(md) {
		n := names.Parse(t.Name)
		switch n.Role {
		case names.FFNGateExps:
			continue
		case names.FFNUpExps:
			t = gguf.TensorInfo{Name: names.FFNGateUpExps.In(n.Block), Shape: gguf.Shape{t.Shape[0], 2 * t.Shape[1], t.Shape[2]}}
		}
		out = append(out, t)
	}
	return out
}
