package family

import (
	"fmt"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/gguf/names"
)

// LFM2-MoE: short convolutions with attention between, the first blocks dense, then sigmoid-routed experts with a bias.
func init() {
	register(Family{
		Arch:     "lfm2moe",
		Classes:  []string{"Lfm2MoeForCausalLM"},
		Example:  "LiquidAI/LFM2-8B-A1B",
		Only:     lfm2MoeOnly,
		Check:    checkLfm2Moe,
		Adjust:   lfm2MoeDefaults,
		Keys:     lfm2MoeKeys,
		Rules:    lfm2MoeRules,
		Contract: lfm2MoeContract,
		Required: []string{"feed_forward_length", "expert_count", "expert_used_count", "expert_feed_forward_length", "expert_gating_func", "shortconv.l_cache"},
		Optional: []names.Role{names.OutputWeight},
		Vocab:    []string{"gpt2"},
		Pre:      []string{"lfm2"},
		Graph:    &Graph{Rope: RopeNeox, NormalizeWeights: true, FromFile: KeyedGate},
	})
}

var lfm2MoeOnly = []Only{
	{"norm_topk_prob", true, "llama.cpp always renormalises the experts' weights in this architecture"},
	{"use_expert_bias", true, "llama.cpp needs a bias on the routing in this architecture"},
	{"routed_scaling_factor", int64(1), "the experts' weights are not scaled in this architecture"},
	{"conv_bias", false, "llama.cpp's convolutions have no biases"},
}

var lfm2MoeClass = defaults{"max_position_embeddings": "128000", "norm_eps": "1e-05", "num_dense_layers": "2", "num_experts_per_tok": "4", "conv_L_cache": "3"}

// lfm2MoeDefaults are those of the class in transformers, through which the reference reads config.json.
func lfm2MoeDefaults(c Config) Config { return lfm2MoeClass.fill(c).withTheta("1000000.0") }

func checkLfm2Moe(c Config) error {
	c = lfm2MoeDefaults(c)
	if err := c.checkAttention(); err != nil {
		return err
	}
	if d, h := c.headDim(), c.Count("num_attention_heads"); d*h != c.Count("hidden_size") {
		return fmt.Errorf("config.json: head_dim %d times num_attention_heads %d is not hidden_size %d, as this architecture needs", d, h, c.Count("hidden_size"))
	}
	if err := c.checkTopK("num_experts"); err != nil {
		return err
	}
	c.counts("vocab_size", "intermediate_size", "moe_intermediate_size", "max_position_embeddings", "conv_L_cache", "num_key_value_heads")
	c.Int("num_dense_layers")
	c.Float("norm_eps")
	if err := c.checkLayerKinds("conv", "full_attention"); err != nil {
		return err
	}
	return c.checkRopeType("linear", "yarn")
}

func lfm2MoeKeys(c Config, md *gguf.Metadata) error {
	c = lfm2MoeDefaults(c)
	kinds := c.Strings("layer_types")
	kv := make([]int32, len(kinds))
	for i, kind := range kinds {
		if kind == "full_attention" {
			kv[i] = int32(c.Count("num_key_value_heads"))
		}
	}
	md.Set(md.ArchKey("attention.head_count_kv"), kv)
	md.Set(md.ArchKey("expert_feed_forward_length"), uint32(c.Count("moe_intermediate_size")))
	md.Set(md.ArchKey("leading_dense_block_count"), uint32(c.Int("num_dense_layers")))
	md.Set(md.ArchKey("expert_gating_func"), uint32(2))
	md.Set(md.ArchKey("vocab_size"), uint32(c.Count("vocab_size")))
	md.Set(md.ArchKey("shortconv.l_cache"), uint32(c.Count("conv_L_cache")))
	return c.Err()
}

func lfm2MoeRules(c Config) []Rule {
	stack := Stack{Experts: c.Count("num_experts"), Group: "experts"}
	return []Rule{
		{"model.embed_tokens.weight", names.TokenEmbd, Copy{}},
		{"model.embedding_norm.weight", "token_embd_norm", Copy{}},
		{"lm_head.weight", names.OutputWeight, Copy{}},
		{"model.layers.{b}.operator_norm.weight", names.AttnNorm, Copy{}},
		{"model.layers.{b}.ffn_norm.weight", names.FFNNorm, Copy{}},
		{"model.layers.{b}.self_attn.q_proj.weight", names.AttnQ, Copy{}},
		{"model.layers.{b}.self_attn.k_proj.weight", names.AttnK, Copy{}},
		{"model.layers.{b}.self_attn.v_proj.weight", names.AttnV, Copy{}},
		{"model.layers.{b}.self_attn.out_proj.weight", names.AttnOutput, Copy{}},
		{"model.layers.{b}.self_attn.q_layernorm.weight", "attn_q_norm", Copy{}},
		{"model.layers.{b}.self_attn.k_layernorm.weight", "attn_k_norm", Copy{}},
		{"model.layers.{b}.conv.conv.weight", "shortconv.conv", Reshape{Dims: []int64{0, lfm2MoeDefaults(c).Count("conv_L_cache")}}},
		{"model.layers.{b}.conv.in_proj.weight", "shortconv.in_proj", Copy{}},
		{"model.layers.{b}.conv.out_proj.weight", "shortconv.out_proj", Copy{}},
		{"model.layers.{b}.feed_forward.w1.weight", names.FFNGate, Copy{}},
		{"model.layers.{b}.feed_forward.w2.weight", names.FFNDown, Copy{}},
		{"model.layers.{b}.feed_forward.w3.weight", names.FFNUp, Copy{}},
		{"model.layers.{b}.feed_forward.gate.weight", names.FFNGateInp, Copy{}},
		{"model.layers.{b}.feed_forward.expert_bias", "exp_probs_b", Copy{}},
		{"model.layers.{b}.feed_forward.experts.{x}.w1.weight", names.FFNGateExps, stack},
		{"model.layers.{b}.feed_forward.experts.{x}.w2.weight", names.FFNDownExps, stack},
		{"model.layers.{b}.feed_forward.experts.{x}.w3.weight", names.FFNUpExps, stack},
	}
}

func lfm2MoeContract(md *gguf.Metadata) []gguf.TensorInfo {
	d := readDims(md)
	dense, ff, kernel := d.keyOr("leading_dense_block_count", 0), d.key("expert_feed_forward_length"), d.key("shortconv.l_cache")
	ts := []gguf.TensorInfo{
		{Name: names.TokenEmbd.Weight(), Shape: gguf.Shape{d.embd, d.vocab}},
		{Name: names.Role("token_embd_norm").Weight(), Shape: gguf.Shape{d.embd}},
		{Name: names.OutputWeight.Weight(), Shape: gguf.Shape{d.embd, d.vocab}},
	}
	for b := range d.blocks {
		if d.headsKV = d.at("attention.head_count_kv", b); d.headsKV > 0 {
			ts = append(ts, d.attention(b)...)
			ts = append(ts, d.vec(b, "attn_q_norm", d.headDim), d.vec(b, "attn_k_norm", d.headDim))
		} else {
			ts = append(ts, d.vec(b, names.AttnNorm, d.embd), d.vec(b, names.FFNNorm, d.embd), d.mat(b, "shortconv.conv", kernel, d.embd),
				d.mat(b, "shortconv.in_proj", d.embd, 3*d.embd), d.mat(b, "shortconv.out_proj", d.embd, d.embd))
		}
		if int64(b) < dense {
			ts = append(ts, d.ffn(b, d.ff, names.FFNGate, names.FFNUp, names.FFNDown)...)
			continue
		}
		ts = append(ts, d.experts(b, ff)...)
		ts = append(ts, d.bias(b, "exp_probs_b", d.expert))
	}
	return ts
}
