package family

import (
	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/gguf/names"
)

// DBRX: query, key and value in one clamped matrix, norms with a mean, and all experts of a block in one matrix.
func init() {
	register(Family{
		Arch:     "dbrx",
		Classes:  []string{"DbrxForCausalLM"},
		Example:  "databricks/dbrx-instruct",
		Only:     dbrxOnly,
		Check:    checkDbrx,
		Common:   dbrxCommon,
		Keys:     func(Config, *gguf.Metadata) error { return nil },
		Rules:    dbrxRules,
		Contract: dbrxContract,
		Required: []string{"feed_forward_length", "expert_count", "expert_used_count"},
		Vocab:    []string{"gpt2"},
		Pre:      []string{"dbrx"},

		QuantizeRouter: true,
		Graph:          &Graph{Rope: RopeNeox, Norm: LayerNorm, Gate: Softmax, NormalizeWeights: true},
	})
}

var dbrxOnly = []Only{
	{"tie_word_embeddings", false, "llama.cpp needs an output matrix in this architecture"},
	{"attention_bias", false, ""},
}

// dbrxNeutral are fields of the two inner configs that change nothing; of the last one the reference knows a single value.
var dbrxNeutral = []string{"emb_pdrop", "resid_pdrop"}

func checkDbrx(c Config) error {
	c.First(dbrxNeutral...)
	attn, ffn := c.Sub("attn_config"), c.Sub("ffn_config")
	c.counts("vocab_size", "d_model", "n_heads", "n_layers", "max_seq_len")
	attn.counts("kv_n_heads")
	attn.Float("rope_theta")
	attn.Float("clip_qkv")
	ffn.counts("ffn_hidden_size", "moe_num_experts", "moe_top_k")
	if norm := ffn.Raw("moe_normalize_expert_weights"); norm != nil && !equalValue(norm, int64(1)) {
		return &gguf.UnsupportedError{Msg: "config.json: ffn_config.moe_normalize_expert_weights " + show(norm) + " is not supported: llama.cpp divides the experts' weights by their sum"}
	}
	if act := ffn.Sub("ffn_act_fn").StringOr("name", "silu"); act != "silu" {
		return &gguf.UnsupportedError{Msg: "config.json: ffn_config.ffn_act_fn " + act + " is not supported for DbrxForCausalLM (silu)"}
	}
	if err := c.Err(); err != nil {
		return err
	}
	whole := c.WithInt("hidden_size", c.Count("d_model")).WithInt("num_attention_heads", c.Count("n_heads")).WithInt("num_key_value_heads", attn.Count("kv_n_heads")).
		WithInt("num_experts_per_tok", ffn.Count("moe_top_k")).WithInt("moe_num_experts", ffn.Count("moe_num_experts"))
	if err := whole.checkAttention(); err != nil {
		return err
	}
	return whole.checkTopK("moe_num_experts")
}

func dbrxCommon(c Config, md *gguf.Metadata) {
	attn, ffn := c.Sub("attn_config"), c.Sub("ffn_config")
	set := func(key string, v any) { md.Set(md.ArchKey(key), v) }
	set("block_count", uint32(c.Count("n_layers")))
	set("context_length", uint32(c.Count("max_seq_len")))
	set("embedding_length", uint32(c.Count("d_model")))
	set("feed_forward_length", uint32(ffn.Count("ffn_hidden_size")))
	set("attention.head_count", uint32(c.Count("n_heads")))
	set("attention.head_count_kv", uint32(attn.Count("kv_n_heads")))
	set("rope.freq_base", float32(attn.Float("rope_theta")))
	set("attention.clamp_kqv", float32(attn.Float("clip_qkv")))
	set("expert_count", uint32(ffn.Count("moe_num_experts")))
	set("expert_used_count", uint32(ffn.Count("moe_top_k")))
	set("attention.layer_norm_epsilon", float32(1e-5)) // the class has no field for it
}

func dbrxRules(c Config) []Rule {
	ffn := c.Sub("ffn_config")
	experts := Reshape{[]int64{ffn.Count("moe_num_experts"), ffn.Count("ffn_hidden_size"), 0}}
	return []Rule{
		{"transformer.wte.weight", names.TokenEmbd, Copy{}},
		{"transformer.norm_f.weight", names.OutputNorm, Copy{}},
		{"lm_head.weight", names.OutputWeight, Copy{}},
		{"transformer.blocks.{b}.norm_attn_norm.norm_1.weight", names.AttnNorm, Copy{}},
		{"transformer.blocks.{b}.norm_attn_norm.norm_2.weight", "attn_output_norm", Copy{}},
		{"transformer.blocks.{b}.norm_attn_norm.attn.Wqkv.weight", "attn_qkv", Copy{}},
		{"transformer.blocks.{b}.norm_attn_norm.attn.out_proj.weight", names.AttnOutput, Copy{}},
		{"transformer.blocks.{b}.ffn.router.layer.weight", names.FFNGateInp, Copy{}},
		{"transformer.blocks.{b}.ffn.experts.mlp.w1", names.FFNGateExps, experts},
		{"transformer.blocks.{b}.ffn.experts.mlp.v1", names.FFNUpExps, experts},
		{"transformer.blocks.{b}.ffn.experts.mlp.w2", names.FFNDownExps, Chain{experts, Transpose{}}},
	}
}

func dbrxContract(md *gguf.Metadata) []gguf.TensorInfo {
	d := readDims(md)
	ts := d.frame()
	for b := range d.blocks {
		ts = append(ts, d.vec(b, names.AttnNorm, d.embd), d.vec(b, "attn_output_norm", d.embd),
			d.mat(b, "attn_qkv", d.embd, d.embd+2*d.headsKV*d.headDim), d.mat(b, names.AttnOutput, d.embd, d.embd))
		ts = append(ts, d.experts(b, d.ff)...)
	}
	return ts
}
