package family

import (
	"fmt"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/gguf/names"
)

// GroveMoE: a Qwen3-MoE whose experts share, two by two, a small adjugate expert ("chunk expert").
func init() {
	register(Family{
		Arch:     "grovemoe",
		Classes:  []string{"GroveMoeForCausalLM", "modeling_grove_moe.GroveMoeForCausalLM"},
		Example:  "inclusionAI/GroveMoE-Inst",
		Only:     groveMoeOnly,
		Check:    checkGroveMoe,
		Keys:     groveMoeKeys,
		Rules:    groveMoeRules,
		Contract: groveMoeContract,
		Required: []string{"expert_count", "expert_used_count", "expert_feed_forward_length", "experts_per_group"},
		Optional: []names.Role{names.OutputWeight},
		Vocab:    []string{"gpt2"},
		Pre:      []string{"qwen2"},
		Graph:    &Graph{Rope: RopeNeox, Gate: Softmax, NormalizeWeights: true},
	})
}

// groveGroup is the number of experts that share an adjugate expert, groveScale the weight of its output: the model's code has them as constants.
const (
	groveGroup = 2
	groveScale = 0.05
)

var groveMoeOnly = []Only{
	{"attention_bias", false, "llama.cpp has no attention biases for this architecture"},
	{"norm_topk_prob", true, "llama.cpp always renormalises the experts' weights in this architecture"},
	{"decoder_sparse_step", int64(1), "every block must be a mixture of experts"},
	{"use_sliding_window", false, ""},
}

func checkGroveMoe(c Config) error {
	if err := c.checkAttention(); err != nil {
		return err
	}
	if err := c.checkTopK("num_experts"); err != nil {
		return err
	}
	c.counts("vocab_size", "intermediate_size", "moe_intermediate_size", "max_position_embeddings", "num_key_value_heads")
	c.Float("rms_norm_eps")
	if !c.Rope().Full().Has("rope_theta") {
		c.fail("rope_theta is missing")
	}
	dense := c.Ints("mlp_only_layers")
	if err := c.Err(); err != nil {
		return err
	}
	if len(dense) > 0 {
		return &gguf.UnsupportedError{Msg: fmt.Sprintf("config.json: mlp_only_layers %s is not supported: every block must be a mixture of experts", show(c.Raw("mlp_only_layers")))}
	}
	if n := c.Count("num_experts"); n%groveGroup != 0 {
		return fmt.Errorf("config.json: num_experts %d cannot share adjugate experts in groups of %d", n, groveGroup)
	}
	return c.checkRopeType("linear", "yarn")
}

// groveChunk is the size of an adjugate expert.
func groveChunk(c Config) int64 { return c.CountOr("head_dim", 128) }

func groveMoeKeys(c Config, md *gguf.Metadata) error {
	md.Set(md.ArchKey("expert_feed_forward_length"), uint32(c.Count("moe_intermediate_size")))
	md.Set(md.ArchKey("expert_chunk_feed_forward_length"), uint32(groveChunk(c)))
	md.Set(md.ArchKey("experts_per_group"), uint32(groveGroup))
	md.Set(md.ArchKey("expert_group_scale"), float32(groveScale))
	return c.Err()
}

func groveMoeRules(c Config) []Rule {
	experts := c.Count("num_experts")
	stack, chunk := Stack{Experts: experts, Group: "experts"}, Stack{Experts: experts / groveGroup, Group: "chunk"}
	return []Rule{
		{"model.embed_tokens.weight", names.TokenEmbd, Copy{}},
		{"model.norm.weight", names.OutputNorm, Copy{}},
		{"lm_head.weight", names.OutputWeight, Copy{}},
		{"model.layers.{b}.input_layernorm.weight", names.AttnNorm, Copy{}},
		{"model.layers.{b}.post_attention_layernorm.weight", names.FFNNorm, Copy{}},
		{"model.layers.{b}.self_attn.q_proj.weight", names.AttnQ, Copy{}},
		{"model.layers.{b}.self_attn.k_proj.weight", names.AttnK, Copy{}},
		{"model.layers.{b}.self_attn.v_proj.weight", names.AttnV, Copy{}},
		{"model.layers.{b}.self_attn.o_proj.weight", names.AttnOutput, Copy{}},
		{"model.layers.{b}.self_attn.q_norm.weight", "attn_q_norm", Copy{}},
		{"model.layers.{b}.self_attn.k_norm.weight", "attn_k_norm", Copy{}},
		{"model.layers.{b}.mlp.gate.weight", names.FFNGateInp, Copy{}},
		{"model.layers.{b}.mlp.expert_bias", "", Drop{}},      // not used by the model's code either
		{"model.layers.{b}.mlp.gate.expert_bias", "", Drop{}}, // the same
		{"model.layers.{b}.mlp.experts.{x}.down_proj.weight", names.FFNDownExps, stack},
		{"model.layers.{b}.mlp.experts.{x}.gate_proj.weight", names.FFNGateExps, stack},
		{"model.layers.{b}.mlp.experts.{x}.up_proj.weight", names.FFNUpExps, stack},
		{"model.layers.{b}.mlp.chunk_experts.{x}.down_proj.weight", "ffn_down_chexps", chunk},
		{"model.layers.{b}.mlp.chunk_experts.{x}.gate_proj.weight", "ffn_gate_chexps", chunk},
		{"model.layers.{b}.mlp.chunk_experts.{x}.up_proj.weight", "ffn_up_chexps", chunk},
	}
}

func groveMoeContract(md *gguf.Metadata) []gguf.TensorInfo {
	d := readDims(md)
	ff, chunk := d.key("expert_feed_forward_length"), d.keyOr("expert_chunk_feed_forward_length", d.headDim)
	chunks := d.expert / max(1, d.key("experts_per_group"))
	ts := d.frame()
	for b := range d.blocks {
		ts = append(ts, d.attention(b)...)
		ts = append(ts, d.vec(b, "attn_q_norm", d.headDim), d.vec(b, "attn_k_norm", d.headDim))
		ts = append(ts, d.experts(b, ff)...)
		ts = append(ts,
			gguf.TensorInfo{Name: names.Role("ffn_gate_chexps").In(b), Shape: gguf.Shape{d.embd, chunk, chunks}},
			gguf.TensorInfo{Name: names.Role("ffn_up_chexps").In(b), Shape: gguf.Shape{d.embd, chunk, chunks}},
			gguf.TensorInfo{Name: names.Role("ffn_down_chexps").In(b), Shape: gguf.Shape{chunk, d.embd, chunks}})
	}
	return ts
}
