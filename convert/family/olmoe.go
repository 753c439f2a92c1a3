package family

import (
	"encoding/json"
	"slices"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/gguf/names"
)

// OLMoE: queries and keys normalised over all heads at once, every block a mixture of softmax-routed experts
// whose weights are not renormalised.
func init() {
	register(Family{
		Arch:     "olmoe",
		Classes:  []string{"OlmoeForCausalLM"},
		Example:  "allenai/OLMoE-1B-7B-0924-Instruct",
		Only:     olmoeOnly,
		Check:    checkOlmoe,
		Adjust:   adjustOlmoe,
		Keys:     noKeys,
		Rules:    olmoeRules,
		Contract: olmoeContract,
		Required: []string{"feed_forward_length", "expert_count", "expert_used_count"},
		Pre:      []string{"olmo", "dbrx"},
		Graph:    &Graph{Rope: RopeNeox, Gate: Softmax},
	})
}

var olmoeOnly = []Only{
	{"norm_topk_prob", false, "llama.cpp never renormalises the experts' weights for this architecture"},
	{"rms_norm_eps", 1e-5, "files of this architecture always say 1e-05"},
	{"clip_qkv", nil, "llama.cpp does not clip queries, keys and values in this architecture"},
	{"attention_bias", false, "llama.cpp has no bias of the attention's output in this architecture"},
}

// adjustOlmoe says the epsilon the reference always writes.
func adjustOlmoe(c Config) Config {
	return defaults{}.fillRope(c).With("rms_norm_eps", json.Number("1e-05"))
}

func checkOlmoe(c Config) error {
	if err := c.checkAttention(); err != nil {
		return err
	}
	if err := c.checkTopK("num_experts"); err != nil {
		return err
	}
	c.counts("vocab_size", "intermediate_size", "max_position_embeddings", "num_key_value_heads")
	if err := c.checkWideHeads(); err != nil {
		return err
	}
	return c.checkRopeType("linear", "yarn")
}

func olmoeRules(c Config) []Rule {
	return slices.Concat(decoderRules(names.FFNNorm), qkNormRules(), expertRules(c.Count("num_experts")))
}

func olmoeContract(md *gguf.Metadata) []gguf.TensorInfo {
	d := readDims(md)
	ts := d.frame()
	for b := range d.blocks {
		ts = append(ts, d.attention(b)...)
		ts = append(ts, d.vec(b, "attn_q_norm", d.embd), d.vec(b, "attn_k_norm", d.embd))
		ts = append(ts, d.experts(b, d.ff)...)
	}
	return ts
}
