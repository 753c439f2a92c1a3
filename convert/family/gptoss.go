package family

import (
	"encoding/json"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/gguf/names"
)

// GPT-OSS: attention sinks, every other block with a sliding window, experts with biases whose gate and up lie
// interleaved; MXFP4 as published, or transposed matrices where somebody has dequantized them.
func init() {
	register(Family{
		Arch:     "gpt-oss",
		Classes:  []string{"GptOssForCausalLM"},
		Example:  "openai/gpt-oss-20b",
		Only:     gptossOnly,
		Check:    checkGptoss,
		Adjust:   gptossFilled,
		Keys:     gptossKeys,
		Rules:    gptossRules,
		Contract: gptossContract,
		Required: []string{"expert_count", "expert_used_count", "expert_feed_forward_length", "attention.sliding_window"},
		Optional: []names.Role{"attn_q.bias", "attn_k.bias", "attn_v.bias"},
		Vocab:    []string{"gpt2"},
		Pre:      []string{"gpt-4o"},
		Original: func(c Config) Original { return Original{YarnUnrounded: gptossFilled(c).Rope().isFalse("truncate")} },
		Graph: &Graph{Rope: RopeNeox, Windows: Windows{Kind: WindowSliding, Every: 2}, Act: SwiGLUOAI, Gate: SoftmaxUsed,
			Original: &Original{YarnUnrounded: true}},
	})
}

var gptossOnly = []Only{
	{"swiglu_limit", 7.0, "llama.cpp clamps the activation at 7 whatever the file says"},
	{"attention_bias", true, "llama.cpp needs the attention's biases in this architecture"},
	{"scoring_func", "softmax", "llama.cpp always takes the softmax of the used experts for this architecture"},
}

// gptossFilled is the config with the fields that transformers fills in; yarn is among them where config.json has no scaling.
func gptossFilled(c Config) Config {
	c = defaults{"rms_norm_eps": "1e-05", "max_position_embeddings": "131072", "sliding_window": "128", "num_key_value_heads": "8", "head_dim": "64", "num_experts_per_tok": "4"}.fill(c)
	if !c.Has("rope_scaling") && !c.Has("rope_parameters") {
		n := func(s string) json.Number { return json.Number(s) }
		c = c.With("rope_parameters", map[string]any{"rope_type": "yarn", "factor": n("32.0"), "beta_fast": n("32.0"), "beta_slow": n("1.0"), "original_max_position_embeddings": n("4096"), "truncate": false})
	}
	return c.withTheta("150000.0")
}

func checkGptoss(c Config) error {
	c = gptossFilled(c)
	if err := c.checkAttention(); err != nil {
		return err
	}
	if err := c.checkTopK("num_local_experts"); err != nil {
		return err
	}
	c.counts("vocab_size", "intermediate_size", "max_position_embeddings", "sliding_window", "num_hidden_layers")
	c.Float("rms_norm_eps")
	c.IntOr("initial_context_length", 0) // of before it was stretched: rope_scaling says so too
	if err := c.checkSame("experts_per_token", "num_experts_per_tok"); err != nil {
		return err
	}
	if err := c.checkRopeType("linear", "yarn"); err != nil {
		return err
	}
	return c.checkLayerTypes(func(block int) string {
		if block%2 == 0 {
			return "sliding_attention"
		}
		return "full_attention"
	})
}

func gptossKeys(c Config, md *gguf.Metadata) error {
	c = gptossFilled(c)
	md.Set(md.ArchKey("attention.sliding_window"), uint32(c.Count("sliding_window")))
	md.Set(md.ArchKey("expert_feed_forward_length"), uint32(c.Count("intermediate_size")))
	return c.Err()
}

func gptossRules(Config) []Rule {
	return []Rule{
		{"model.embed_tokens.weight", names.TokenEmbd, Copy{}},
		{"model.norm.weight", names.OutputNorm, Copy{}},
		{"lm_head.weight", names.OutputWeight, Copy{}},
		{"model.layers.{b}.input_layernorm.weight", names.AttnNorm, Copy{}},
		{"model.layers.{b}.post_attention_layernorm.weight", "post_attention_norm", Copy{}},
		{"model.layers.{b}.self_attn.q_proj.{s}", names.AttnQ, Copy{}},
		{"model.layers.{b}.self_attn.k_proj.{s}", names.AttnK, Copy{}},
		{"model.layers.{b}.self_attn.v_proj.{s}", names.AttnV, Copy{}},
		{"model.layers.{b}.self_attn.o_proj.{s}", names.AttnOutput, Copy{}},
		{"model.layers.{b}.self_attn.sinks", "attn_sinks", Copy{}},
		{"model.layers.{b}.mlp.router.{s}", names.FFNGateInp, Copy{}},
		{"model.layers.{b}.mlp.experts.down_proj_blocks", names.FFNDownExps, First{Copy{}}},
		{"model.layers.{b}.mlp.experts.gate_up_proj_blocks", "", First{Split{
			{names.FFNGateExps, Rows{Step: 2}}, {names.FFNUpExps, Rows{From: 1, Step: 2}}}}},
		{"model.layers.{b}.mlp.experts.down_proj", names.FFNDownExps, Transpose{}},
		{"model.layers.{b}.mlp.experts.gate_up_proj", "", Split{
			{names.FFNGateExps, Chain{Columns{Step: 2}, Transpose{}}}, {names.FFNUpExps, Chain{Columns{From: 1, Step: 2}, Transpose{}}}}},
		{"model.layers.{b}.mlp.experts.down_proj_bias", names.FFNDownExps, Copy{}},
		{"model.layers.{b}.mlp.experts.gate_up_proj_bias", "", Split{
			{names.FFNGateExps, Columns{Step: 2}}, {names.FFNUpExps, Columns{From: 1, Step: 2}}}},
	}
}

func gptossContract(md *gguf.Metadata) []gguf.TensorInfo {
	d := readDims(md)
	ff, q, kv := d.key("expert_feed_forward_length"), d.heads*d.headDim, d.headsKV*d.headDim
	ts := d.frame()
	for b := range d.blocks {
		ts = append(ts, d.attention(b)[:5]...) // the norm behind attention has another name here
		ts = append(ts, d.experts(b, ff)...)
		ts = append(ts, d.vec(b, "post_attention_norm", d.embd), d.vec(b, "attn_sinks", d.heads),
			d.bias(b, names.AttnQ, q), d.bias(b, names.AttnK, kv), d.bias(b, names.AttnV, kv), d.bias(b, names.AttnOutput, d.embd),
			d.bias(b, names.FFNGateInp, d.expert), d.bias(b, names.FFNGateExps, ff, d.expert),
			d.bias(b, names.FFNUpExps, ff, d.expert), d.bias(b, names.FFNDownExps, d.embd, d.expert))
	}
	return ts
}
