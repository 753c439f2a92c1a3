package family

import (
	"slices"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/gguf/names"
)

// Qwen3-MoE: norms of queries and keys per head, every block a mixture of softmax-routed experts, renormalised.
func init() {
	register(Family{
		Arch:     "qwen3moe",
		Classes:  []string{"Qwen3MoeForCausalLM"},
		Example:  "Qwen/Qwen3-30B-A3B",
		Only:     append([]Only{{"attention_bias", false, "llama.cpp has no bias of the attention's output in this architecture"}}, qwenOnly...),
		Check:    checkQwen3Moe,
		Adjust:   qwenDefaults.fillRope,
		Keys:     qwen3MoeKeys,
		Rules:    qwen3MoeRules,
		Contract: qwen3MoeContract,
		Required: []string{"feed_forward_length", "expert_count", "expert_used_count", "expert_feed_forward_length"},
		Optional: []names.Role{names.OutputWeight},
		Pre:      []string{"qwen2"},
		Graph:    &Graph{Rope: RopeNeox, Gate: Softmax, NormalizeWeights: true},
	})
}

func checkQwen3Moe(c Config) error {
	if err := checkQwen(c); err != nil {
		return err
	}
	if err := c.checkTopK(c.expertsKey()); err != nil {
		return err
	}
	c.counts("intermediate_size", "moe_intermediate_size")
	return c.checkNormTopK()
}

// expertsKey is the name config.json gives the number of routed experts: num_experts, or what transformers 5 writes.
func (c Config) expertsKey() string {
	if c.Has("num_experts") {
		return "num_experts"
	}
	return "num_local_experts"
}

// checkNormTopK refuses models whose experts' weights are not renormalised, absent meaning so, where llama.cpp always does it.
func (c Config) checkNormTopK() error {
	if !c.BoolOr("norm_topk_prob", false) && c.Err() == nil {
		return &gguf.UnsupportedError{Msg: "config.json: norm_topk_prob is not true: llama.cpp always renormalises the experts' weights for this architecture, so the output would be wrong"}
	}
	return c.Err()
}

func qwen3MoeKeys(c Config, md *gguf.Metadata) error {
	md.Set(md.ArchKey("expert_feed_forward_length"), uint32(c.Count("moe_intermediate_size")))
	return c.Err()
}

func qwen3MoeRules(c Config) []Rule {
	return slices.Concat(decoderRules(names.FFNNorm), qkNormRules(), expertRules(c.Count(c.expertsKey())), fusedExpertRules(c.Count("moe_intermediate_size")))
}

func qwen3MoeContract(md *gguf.Metadata) []gguf.TensorInfo {
	d := readDims(md)
	ts := d.frame()
	for b := range d.blocks {
		ts = append(ts, d.attention(b)...)
		ts = append(ts, d.qkNorms(b)...)
		ts = append(ts, d.experts(b, d.key("expert_feed_forward_length"))...)
	}
	return ts
}

// qkNorms are the norms of a block's queries and keys, one for all heads.
func (d dims) qkNorms(b int) []gguf.TensorInfo {
	return []gguf.TensorInfo{d.vec(b, "attn_q_norm", d.headDim), d.vec(b, "attn_k_norm", d.headDim)}
}
