package family

import (
	"fmt"
	"slices"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/gguf/names"
)

// Llama and Mistral, and Mixtral: every block a mixture of experts, the used experts' weights renormalised. All their files say "llama".
func init() {
	register(Family{
		Arch:     "llama",
		Classes:  []string{"MixtralForCausalLM", "LlamaForCausalLM", "LLaMAForCausalLM", "MistralForCausalLM"},
		Example:  "mistralai/Mixtral-8x7B-Instruct-v0.1",
		Only:     llamaOnly,
		Check:    checkLlama,
		Adjust:   llamaFilled,
		Keys:     llamaKeys,
		Rules:    llamaRules,
		Computed: func(c Config) []Computed { return llama3Rope(llamaFilled(c)) },
		Contract: llamaContract,
		Required: []string{"feed_forward_length"},
		Optional: []names.Role{names.OutputWeight, names.RopeFreqs, "attn_q.bias", "attn_k.bias", "attn_v.bias", "attn_output.bias", "ffn_gate.bias", "ffn_up.bias", "ffn_down.bias"},
		Vocab:    []string{"llama"},
		Pre:      []string{"llama-bpe"},
		Graph:    &Graph{Rope: RopeNorm, Gate: Softmax, NormalizeWeights: true},
	})
}

var llamaOnly = []Only{
	{"draft_vocab_size", nil, "this is a draft model for speculative decoding"},
}

// llamaDefaults are transformers' by model_type; it also makes head_dim of the other sizes but for Mixtral.
var llamaDefaults = map[string]defaults{
	"llama":   {"max_position_embeddings": "2048", "rms_norm_eps": "1e-6"},
	"mistral": {"max_position_embeddings": "131072", "rms_norm_eps": "1e-6", "num_key_value_heads": "8"},
	"mixtral": {"max_position_embeddings": "131072", "rms_norm_eps": "1e-5", "num_key_value_heads": "8"},
}

// llamaFilled is the config with the fields that transformers fills in for the types of models it knows.
func llamaFilled(c Config) Config {
	kind := c.StringOr("model_type", "")
	missing, known := llamaDefaults[kind]
	if !known {
		return c
	}
	theta := "10000.0"
	if kind == "mixtral" {
		theta = "1000000.0"
	}
	c = missing.fill(c).withTheta(theta)
	if !c.Has("num_key_value_heads") {
		c = c.WithInt("num_key_value_heads", c.Count("num_attention_heads"))
	}
	if kind != "mixtral" && !c.Has("head_dim") {
		c = c.WithInt("head_dim", c.headDim())
	}
	return c
}

func checkLlama(c Config) error {
	if err := c.checkAttention(); err != nil {
		return err
	}
	if c.Has("num_local_experts") {
		if err := c.checkTopK("num_local_experts"); err != nil {
			return err
		}
	} else if class, _ := c.Class(); class == "MixtralForCausalLM" {
		return fmt.Errorf("config.json: num_local_experts is missing")
	}
	c = llamaFilled(c)
	c.counts("vocab_size", "intermediate_size", "max_position_embeddings", "num_hidden_layers")
	if c.Float("rms_norm_eps"); c.Err() != nil {
		return c.Err()
	}
	if n := c.IntOr("sliding_window", 0); n > 0 && n < c.Count("max_position_embeddings") {
		return &gguf.UnsupportedError{Msg: fmt.Sprintf("config.json: sliding_window %d is not supported for this architecture: llama.cpp attends to everything, up to max_position_embeddings %d", n, c.Count("max_position_embeddings"))}
	}
	return c.checkRopeType("linear", "yarn", "llama3")
}

func llamaKeys(c Config, md *gguf.Metadata) error {
	md.Set(md.ArchKey("vocab_size"), uint32(c.Count("vocab_size")))
	md.Set(md.ArchKey("rope.dimension_count"), uint32(c.headDim()))
	return c.Err()
}

func llamaRules(c Config) []Rule {
	c = llamaFilled(c)
	heads := c.Count("num_attention_heads")
	kv := c.CountOr("num_key_value_heads", heads)
	common := []Rule{
		{"model.embed_tokens.weight", names.TokenEmbd, Copy{}},
		{"model.norm.weight", names.OutputNorm, Copy{}},
		{"lm_head.weight", names.OutputWeight, Copy{}},
		{"model.layers.{b}.input_layernorm.weight", names.AttnNorm, Copy{}},
		{"model.layers.{b}.post_attention_layernorm.weight", names.FFNNorm, Copy{}},
		{"model.layers.{b}.self_attn.q_proj.{s}", names.AttnQ, PermuteRope{Heads: heads}},
		{"model.layers.{b}.self_attn.k_proj.{s}", names.AttnK, PermuteRope{Heads: kv}},
		{"model.layers.{b}.self_attn.v_proj.{s}", names.AttnV, Copy{}},
		{"model.layers.{b}.self_attn.o_proj.{s}", names.AttnOutput, Copy{}},
		{"model.layers.{b}.self_attn.rotary_emb.inv_freq", "", Drop{}},
	}
	if !c.Has("num_local_experts") {
		return append(common,
			Rule{"model.layers.{b}.mlp.gate_proj.{s}", names.FFNGate, Copy{}},
			Rule{"model.layers.{b}.mlp.up_proj.{s}", names.FFNUp, Copy{}},
			Rule{"model.layers.{b}.mlp.down_proj.{s}", names.FFNDown, Copy{}})
	}
	stack := Stack{Experts: c.Count("num_local_experts"), Group: "experts"}
	return append(common,
		Rule{"model.layers.{b}.block_sparse_moe.gate.weight", names.FFNGateInp, Copy{}},
		Rule{"model.layers.{b}.block_sparse_moe.experts.{x}.w1.weight", names.FFNGateExps, stack},
		Rule{"model.layers.{b}.block_sparse_moe.experts.{x}.w2.weight", names.FFNDownExps, stack},
		Rule{"model.layers.{b}.block_sparse_moe.experts.{x}.w3.weight", names.FFNUpExps, stack})
}

func llamaContract(md *gguf.Metadata) []gguf.TensorInfo {
	d := readDims(md)
	q, kv := d.heads*d.headDim, d.headsKV*d.headDim
	ts := append(d.frame(), gguf.TensorInfo{Name: names.RopeFreqs.Weight(), Shape: gguf.Shape{d.headDim / 2}})
	for b := range d.blocks {
		ts = slices.Concat(ts, d.attention(b), []gguf.TensorInfo{d.bias(b, names.AttnQ, q), d.bias(b, names.AttnK, kv), d.bias(b, names.AttnV, kv), d.bias(b, names.AttnOutput, d.embd)})
		if d.expert > 0 {
			ts = append(ts, d.experts(b, d.ff)...)
			continue
		}
		ts = append(ts, d.ffn(b, d.ff, names.FFNGate, names.FFNUp, names.FFNDown)...)
		ts = append(ts, d.bias(b, names.FFNGate, d.ff), d.bias(b, names.FFNUp, d.ff), d.bias(b, names.FFNDown, d.embd))
	}
	return ts
}
