package family

import (
	"fmt"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/gguf/names"
)

// Llama 4 (its text part): every n-th block a mixture with one expert chosen by sigmoid beside a shared one;
// three blocks of four attend to chunks, with rotary embedding, the fourth to everything, without.
func init() {
	register(Family{
		Arch:     "llama4",
		Classes:  []string{"Llama4ForCausalLM", "Llama4ForConditionalGeneration"},
		Example:  "meta-llama/Llama-4-Scout-17B-16E-Instruct",
		Only:     llama4Only,
		Check:    checkLlama4,
		Adjust:   adjustLlama4,
		Keys:     llama4Keys,
		Rules:    llama4Rules,
		Computed: func(c Config) []Computed { return llama3Rope(llama4Defaults(c)) },
		Contract: llama4Contract,
		Required: []string{"feed_forward_length", "expert_count", "expert_used_count", "expert_feed_forward_length", "interleave_moe_layer_step"},
		Optional: []names.Role{names.OutputWeight, names.RopeFreqs}, Vocab: []string{"gpt2"}, Pre: []string{"llama4"},
		Graph: &Graph{Rope: RopeNorm, NoRopeEvery: 4, QKNorm: QKNormPlain, Windows: Windows{Kind: WindowChunked, Every: 4, Size: 8192},
			Tune: Tuning{Scale: 0.1, Length: 8192, Offset: 1, Unturned: true}, Gate: Sigmoid, WeightFirst: true},
	})
}

var llama4Only = []Only{
	{"attention_bias", false, ""},
	{"attention_chunk_size", int64(8192), "llama.cpp always attends to chunks of 8192 tokens in this architecture"},
	{"floor_scale", int64(8192), "llama.cpp always tunes the attention's temperature with 8192"},
	{"attn_scale", 0.1, "llama.cpp always tunes the attention's temperature with 0.1"},
	{"no_rope_layer_interval", int64(4), "llama.cpp leaves rotary embedding out of every fourth layer"},
	{"for_llm_compressor", false, ""},
}

var llama4Class = defaults{"rms_norm_eps": "1e-05", "num_experts_per_tok": "1", "interleave_moe_layer_step": "1", "head_dim": "128", "max_position_embeddings": "131072"}

// llama4Defaults fills in those of the class in transformers, through which the reference reads config.json.
func llama4Defaults(c Config) Config { return llama4Class.fill(c).withTheta("500000.0") }

func checkLlama4(c Config) error {
	c = llama4Defaults(c)
	if err := c.checkAttention(); err != nil {
		return err
	}
	if err := c.checkTopK("num_local_experts"); err != nil {
		return err
	}
	c.counts("vocab_size", "intermediate_size", "intermediate_size_mlp", "max_position_embeddings", "interleave_moe_layer_step")
	if c.Float("rms_norm_eps"); c.Err() != nil {
		return c.Err()
	}
	layers, step := c.Count("num_hidden_layers"), c.Count("interleave_moe_layer_step")
	if step > layers {
		return &gguf.UnsupportedError{Msg: fmt.Sprintf("config.json: interleave_moe_layer_step is %d with %d layers: there is no mixture of experts", step, layers)}
	}
	if tuned := c.Raw("attn_temperature_tuning"); tuned == false || equalValue(tuned, int64(0)) {
		return &gguf.UnsupportedError{Msg: "config.json: attn_temperature_tuning is off: llama.cpp always tunes the attention's temperature in this architecture"}
	}
	if experts := c.Count("num_local_experts"); c.BoolOr("use_qk_norm", true) != (experts != 128) {
		return &gguf.UnsupportedError{Msg: fmt.Sprintf("config.json: use_qk_norm %s is not supported with %d experts: llama.cpp normalises query and key unless there are 128 experts", show(c.Raw("use_qk_norm")), experts)}
	}
	if err := checkLlama4Layers(c, layers, step); err != nil {
		return err
	}
	return c.checkRopeType("linear", "yarn", "llama3")
}

// checkLlama4Layers refuses layers of other kinds than llama.cpp's pattern has them.
func checkLlama4Layers(c Config, layers, step int64) error {
	moe, rope := c.Ints("moe_layers"), c.Ints("no_rope_layers")
	for i, b := range moe {
		if int64(len(moe)) != layers/step || b != int64(i+1)*step-1 {
			return &gguf.UnsupportedError{Msg: fmt.Sprintf("config.json: moe_layers %s is not supported: llama.cpp has a mixture of experts in every layer of interleave_moe_layer_step %d", show(c.Raw("moe_layers")), step)}
		}
	}
	for i := range layers {
		if i < int64(len(rope)) && (i%4 == 3) != (rope[i] == 0) {
			return &gguf.UnsupportedError{Msg: fmt.Sprintf("config.json: no_rope_layers %s is not supported: llama.cpp leaves rotary embedding out of every fourth layer", show(c.Raw("no_rope_layers")))}
		}
	}
	return c.checkLayerTypes(func(block int) string {
		if block%4 == 3 {
			return "full_attention"
		}
		return "chunked_attention"
	})
}

// adjustLlama4 gives the dense feed-forward size its usual name.
func adjustLlama4(c Config) Config {
	return llama4Defaults(c).WithInt("intermediate_size", c.Count("intermediate_size_mlp"))
}

func llama4Keys(c Config, md *gguf.Metadata) error {
	c = llama4Defaults(c)
	md.Set(md.ArchKey("vocab_size"), uint32(c.Count("vocab_size")))
	md.Set(md.ArchKey("rope.dimension_count"), uint32(c.headDim()))
	md.Set(md.ArchKey("interleave_moe_layer_step"), uint32(c.Count("interleave_moe_layer_step")))
	md.Set(md.ArchKey("expert_feed_forward_length"), uint32(c.Count("intermediate_size")))
	return c.Err()
}

func llama4Rules(c Config) []Rule {
	ff := c.Count("intermediate_size")
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
		{"model.layers.{b}.feed_forward.gate_proj.weight", names.FFNGate, Copy{}},
		{"model.layers.{b}.feed_forward.up_proj.weight", names.FFNUp, Copy{}},
		{"model.layers.{b}.feed_forward.down_proj.weight", names.FFNDown, Copy{}},
		{"model.layers.{b}.feed_forward.router.weight", names.FFNGateInp, Copy{}},
		{"model.layers.{b}.feed_forward.experts.gate_up_proj", "", Split{
			{names.FFNGateExps, Chain{Transpose{}, Rows{Count: ff}}},
			{names.FFNUpExps, Chain{Transpose{}, Rows{From: ff}}},
		}},
		{"model.layers.{b}.feed_forward.experts.down_proj", names.FFNDownExps, Transpose{}},
		{"model.layers.{b}.feed_forward.shared_expert.gate_proj.weight", names.FFNGateShexp, Copy{}},
		{"model.layers.{b}.feed_forward.shared_expert.up_proj.weight", names.FFNUpShexp, Copy{}},
		{"model.layers.{b}.feed_forward.shared_expert.down_proj.weight", names.FFNDownShexp, Copy{}},
	}
}

func llama4Contract(md *gguf.Metadata) []gguf.TensorInfo {
	d := readDims(md)
	ff, step := d.key("expert_feed_forward_length"), max(1, int(d.key("interleave_moe_layer_step")))
	ts := append(d.frame(), gguf.TensorInfo{Name: names.RopeFreqs.Weight(), Shape: gguf.Shape{d.headDim / 2}})
	for b := range d.blocks {
		ts = append(ts, d.attention(b)...)
		if (b+1)%step != 0 {
			ts = append(ts, d.ffn(b, d.ff, names.FFNGate, names.FFNUp, names.FFNDown)...)
			continue
		}
		ts = append(ts, d.experts(b, ff)...)
		ts = append(ts, d.ffn(b, ff, names.FFNGateShexp, names.FFNUpShexp, names.FFNDownShexp)...)
	}
	return ts
}
