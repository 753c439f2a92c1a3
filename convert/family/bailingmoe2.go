package family

import (
	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/gguf/names"
)

// Ling and Ring 2.0 (Bailing-MoE v2): part of each head rotated, the first blocks dense, then experts in groups beside
// shared ones; the blocks of multi-token prediction are kept, after the others.
func init() {
	register(Family{
		Arch:     "bailingmoe2",
		Classes:  []string{"BailingMoeV2ForCausalLM"},
		Example:  "inclusionAI/Ling-mini-2.0",
		Only:     bailingMoe2Only,
		Check:    checkBailingMoe2,
		Adjust:   adjustBailingMoe2,
		Keys:     bailingMoe2Keys,
		Rules:    bailingMoe2Rules,
		Contract: bailingMoe2Contract,
		Required: []string{"feed_forward_length", "expert_count", "expert_used_count", "expert_feed_forward_length", "expert_shared_count", "expert_gating_func"},
		Optional: []names.Role{"exp_probs_b.bias", "nextn.embed_tokens", "nextn.shared_head_head", "nextn.shared_head_norm"},
		Reads:    []string{"partial_rotary_factor"},
		Vocab:    []string{"gpt2"},
		Pre:      []string{"bailingmoe2", "bailingmoe"},
		Graph:    &Graph{Rope: RopeNeox, FromFile: KeyedRouting},
	})
}

var bailingMoe2Only = []Only{
	{"use_bias", false, ""},
	{"use_qkv_bias", false, "llama.cpp has no attention biases for this architecture"},
	{"use_qk_norm", true, "llama.cpp always normalises query and key in this architecture"},
	{"use_rmsnorm", true, ""},
	{"norm_head", false, "the output is not normalised in this architecture"},
	{"tie_word_embeddings", false, "llama.cpp needs an output of its own in this architecture"},
	{"use_sliding_window", false, ""},
}

func checkBailingMoe2(c Config) error {
	if err := c.checkAttention(); err != nil {
		return err
	}
	if err := c.checkTopK("num_experts"); err != nil {
		return err
	}
	c.counts("vocab_size", "intermediate_size", "moe_intermediate_size", "max_position_embeddings", "num_shared_experts", "num_key_value_heads", "num_hidden_layers")
	if dense, layers := c.Int("first_k_dense_replace"), c.Count("num_hidden_layers"); c.Err() == nil && dense > layers {
		c.fail("first_k_dense_replace %d exceeds num_hidden_layers %d", dense, layers)
	}
	c.Float("rms_norm_eps")
	c.Float("routed_scaling_factor")
	for _, key := range []string{"norm_topk_prob", "score_function"} {
		if !c.Has(key) {
			c.fail("%s is missing", key)
		}
	}
	c.BoolOr("norm_topk_prob", false)
	c.StringOr("score_function", "")
	if d := c.headDim(); c.Err() == nil && d*c.Count("num_attention_heads") != c.Count("hidden_size") {
		c.fail("head_dim %d times num_attention_heads %d is not hidden_size %d, as llama.cpp needs for this architecture", d, c.Count("num_attention_heads"), c.Count("hidden_size"))
	}
	if r := c.bailingRotated(); c.Err() == nil && (r < 2 || r%2 != 0 || r > c.headDim()) {
		c.fail("partial_rotary_factor: %d of %d elements of a head cannot be rotated", r, c.headDim())
	}
	if err := c.checkGroups("num_experts"); err != nil {
		return err
	}
	return c.checkRopeType("linear", "yarn")
}

// bailingRotated is how many elements of a head are rotated.
func (c Config) bailingRotated() int64 {
	return int64(float64(c.headDim()) * c.Rope().floatOr("partial_rotary_factor", 0.5))
}

// adjustBailingMoe2 counts the blocks of multi-token prediction among all.
func adjustBailingMoe2(c Config) Config {
	return c.WithInt("num_hidden_layers", c.Count("num_hidden_layers")+c.IntOr("num_nextn_predict_layers", 0))
}

func bailingMoe2Keys(c Config, md *gguf.Metadata) error {
	ff, shared := c.Count("moe_intermediate_size"), c.Count("num_shared_experts")
	md.Set(md.ArchKey("rope.dimension_count"), uint32(c.bailingRotated()))
	md.Set(md.ArchKey("leading_dense_block_count"), uint32(c.Int("first_k_dense_replace")))
	md.Set(md.ArchKey("vocab_size"), uint32(c.Count("vocab_size")))
	md.Set(md.ArchKey("expert_feed_forward_length"), uint32(ff))
	md.Set(md.ArchKey("expert_shared_feed_forward_length"), uint32(c.IntOr("moe_shared_expert_intermediate_size", ff*shared)))
	md.Set(md.ArchKey("expert_weights_scale"), float32(c.Float("routed_scaling_factor")))
	md.Set(md.ArchKey("expert_shared_count"), uint32(shared))
	md.Set(md.ArchKey("expert_weights_norm"), c.BoolOr("norm_topk_prob", false))
	if c.Has("num_nextn_predict_layers") {
		md.Set(md.ArchKey("nextn_predict_layers"), uint32(c.Int("num_nextn_predict_layers")))
	}
	return c.Err()
}

func bailingMoe2Rules(c Config) []Rule {
	return append([]Rule{
		{"model.word_embeddings.weight", names.TokenEmbd, Copy{}},
		{"model.norm.weight", names.OutputNorm, Copy{}},
		{"lm_head.weight", names.OutputWeight, Copy{}},
		{"model.layers.{b}.input_layernorm.weight", names.AttnNorm, Copy{}},
		{"model.layers.{b}.post_attention_layernorm.weight", names.FFNNorm, Copy{}},
		{"model.layers.{b}.attention.query_key_value.weight", "attn_qkv", Copy{}},
		{"model.layers.{b}.attention.dense.weight", names.AttnOutput, Copy{}},
		{"model.layers.{b}.attention.query_layernorm.weight", "attn_q_norm", Copy{}},
		{"model.layers.{b}.attention.key_layernorm.weight", "attn_k_norm", Copy{}},
		{"model.layers.{b}.mlp.gate.expert_bias", "exp_probs_b", Copy{}},
		{"model.layers.{b}.eh_proj.weight", "nextn.eh_proj", Copy{}},
		{"model.layers.{b}.enorm.weight", "nextn.enorm", Copy{}},
		{"model.layers.{b}.hnorm.weight", "nextn.hnorm", Copy{}},
		{"model.layers.{b}.embed_tokens.weight", "nextn.embed_tokens", Copy{}},
		{"model.layers.{b}.shared_head.head.weight", "nextn.shared_head_head", Copy{}},
		{"model.layers.{b}.shared_head.norm.weight", "nextn.shared_head_norm", Copy{}},
		{"model.layers.{b}.final_layernorm.weight", "layer_output_norm", Copy{}},
	}, append(append(denseRules(), sharedRules("shared_experts")...), expertRules(c.Count("num_experts"))...)...)
}

func bailingMoe2Contract(md *gguf.Metadata) []gguf.TensorInfo {
	d := readDims(md)
	dense, ff, shared := d.keyOr("leading_dense_block_count", 0), d.key("expert_feed_forward_length"), d.key("expert_shared_count")
	sharedFF := d.keyOr("expert_shared_feed_forward_length", 0)
	if sharedFF == 0 {
		sharedFF = ff
	}
	nextn := max(0, d.blocks-int(d.keyOr("nextn_predict_layers", 0)))
	ts := d.frame()
	for b := range d.blocks {
		ts = append(ts, d.vec(b, names.AttnNorm, d.embd), d.vec(b, names.FFNNorm, d.embd), d.vec(b, "attn_q_norm", d.headDim), d.vec(b, "attn_k_norm", d.headDim),
			d.mat(b, "attn_qkv", d.embd, d.embd+2*d.headsKV*d.headDim), d.mat(b, names.AttnOutput, d.heads*d.headDim, d.embd))
		if b >= nextn {
			ts = append(ts, d.mat(b, "nextn.eh_proj", 2*d.embd, d.embd), d.vec(b, "nextn.enorm", d.embd), d.vec(b, "nextn.hnorm", d.embd), d.vec(b, "layer_output_norm", d.embd),
				d.mat(b, "nextn.embed_tokens", d.embd, d.vocab), d.mat(b, "nextn.shared_head_head", d.embd, d.vocab), d.vec(b, "nextn.shared_head_norm", d.embd))
		}
		if int64(b) < dense {
			ts = append(ts, d.ffn(b, d.ff, names.FFNGate, names.FFNUp, names.FFNDown)...)
			continue
		}
		ts = append(ts, append(d.experts(b, ff), d.bias(b, "exp_probs_b", d.expert))...)
		ts = append(ts, d.ffn(b, sharedFF*shared, names.FFNGateShexp, names.FFNUpShexp, names.FFNDownShexp)...)
	}
	return ts
}
