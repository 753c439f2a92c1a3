package family

import (
	"fmt"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/gguf/names"
)

var (
	latentRequired = []string{"feed_forward_length", "expert_count", "expert_used_count", "expert_feed_forward_length", "expert_shared_count",
		"leading_dense_block_count", "attention.kv_lora_rank", "attention.key_length_mla", "attention.value_length_mla", "rope.dimension_count"}
	latentOptional = []names.Role{names.OutputWeight, "exp_probs_b.bias", "nextn.embed_tokens", "nextn.shared_head_head", "nextn.shared_head_norm"}
)

// checkLatent is the check of models with latent attention and DeepSeek's mixtures of experts.
func checkLatent(c Config) error {
	class, err := c.Class()
	if err != nil {
		return err
	}
	if err := c.checkTopK("n_routed_experts"); err != nil {
		return err
	}
	c.counts("vocab_size", "hidden_size", "intermediate_size", "moe_intermediate_size", "max_position_embeddings", "num_hidden_layers",
		"num_attention_heads", "n_shared_experts", "kv_lora_rank", "qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim")
	c.Int("first_k_dense_replace")
	if heads := c.Count("num_attention_heads"); c.CountOr("num_key_value_heads", heads) != heads {
		return fmt.Errorf("config.json: num_key_value_heads is not num_attention_heads %d, as latent attention needs", heads)
	}
	if rope := c.Count("qk_rope_head_dim"); rope%2 != 0 {
		return fmt.Errorf("config.json: qk_rope_head_dim %d must be even", rope)
	}
	for _, check := range []func(Config) error{checkLatentQueries, checkGroups, checkGating, checkMscale} {
		if err := check(c); err != nil {
			return err
		}
	}
	if dense := c.Strings("mlp_layer_types"); len(dense) > 0 {
		for b, kind := range dense {
			if (kind == "dense") != (int64(b) < c.Int("first_k_dense_replace")) {
				return fmt.Errorf("config.json: %s: mlp_layer_types calls layer %d %s, first_k_dense_replace is %d", class, b, kind, c.Int("first_k_dense_replace"))
			}
		}
	}
	return c.checkRopeType("linear", "yarn")
}

// checkLatentQueries refuses what llama.cpp cannot load: it knows models whose queries are not compressed by their number of layers.
func checkLatentQueries(c Config) error {
	layers := c.Int("num_hidden_layers")
	lite := layers == 26 || layers == 27 || layers == 48 && c.Count("vocab_size") == 128256
	if c.Has("q_lora_rank") {
		c.Count("q_lora_rank")
	}
	if err := c.Err(); err != nil || lite != c.Has("q_lora_rank") {
		return err
	}
	if lite {
		return &gguf.UnsupportedError{Msg: fmt.Sprintf("config.json: q_lora_rank with num_hidden_layers %d is not supported: llama.cpp takes models of that many layers for ones without it", layers)}
	}
	return &gguf.UnsupportedError{Msg: fmt.Sprintf("config.json: num_hidden_layers %d without q_lora_rank is not supported: llama.cpp loads such models with 26 or 27 layers only, or with 48 and a vocabulary of 128256", layers)}
}

// checkGroups holds groups of experts, of which the best are taken first, against the number of experts.
func checkGroups(c Config) error {
	n, groups, used := c.Count("n_routed_experts"), c.CountOr("n_group", 1), c.CountOr("topk_group", 1)
	if err := c.Err(); err != nil {
		return err
	}
	if n%groups != 0 || used > groups || groups > 1 && n/groups < 2 {
		return fmt.Errorf("config.json: %d experts in n_group %d groups, topk_group %d of them used: that cannot be", n, groups, used)
	}
	if method := c.StringOr("topk_method", ""); method == "greedy" && groups > 1 {
		return &gguf.UnsupportedError{Msg: fmt.Sprintf("config.json: topk_method greedy with n_group %d is not supported: llama.cpp takes experts of the best groups alone", groups)}
	}
	return c.Err()
}

// checkGating refuses models that gate by sigmoid and do not say so: llama.cpp would take them for softmax, but for one it knows by its sizes.
func checkGating(c Config) error {
	class, _ := c.Class()
	known := c.Int("num_hidden_layers") == 47 && c.Int("vocab_size") == 154880
	softmax := class == "DeepseekV2ForCausalLM" || c.StringOr("model_type", "") == "mistral4"
	if softmax || c.Has("scoring_func") || known {
		return c.Err()
	}
	return &gguf.UnsupportedError{Msg: "config.json: without scoring_func llama.cpp takes the gating function for softmax; " + class + " means sigmoid"}
}

// checkMscale refuses yarn whose two corrections differ: llama.cpp knows one.
func checkMscale(c Config) error {
	r := c.Rope()
	if r.Type() != "yarn" {
		return c.Err()
	}
	if one, all := r.floatOr("mscale", 1), r.floatOr("mscale_all_dim", 0); one != all {
		return &gguf.UnsupportedError{Msg: fmt.Sprintf("config.json: %s: mscale %v with mscale_all_dim %v is not supported: llama.cpp takes them for equal", r.name, one, all)}
	}
	return c.Err()
}

// latentRules are those of DeepSeek-V2's layout. Of latent attention's kv_b, keys are turned so that they apply to queries.
func latentRules(c Config) []Rule {
	heads, nope := c.CountOr("num_key_value_heads", c.Count("num_attention_heads")), c.Count("qk_nope_head_dim")
	stack := Stack{Experts: c.Count("n_routed_experts"), Group: "experts"}
	var head Op = Copy{}
	if c.Tied() {
		head = Drop{}
	}
	return []Rule{
		{"model.embed_tokens.weight", names.TokenEmbd, Copy{}},
		{"model.norm.weight", names.OutputNorm, Copy{}},
		{"lm_head.weight", names.OutputWeight, head},
		{"model.layers.{b}.input_layernorm.weight", names.AttnNorm, Copy{}},
		{"model.layers.{b}.post_attention_layernorm.weight", names.FFNNorm, Copy{}},
		{"model.layers.{b}.self_attn.q_proj.weight", names.AttnQ, Copy{}},
		{"model.layers.{b}.self_attn.q_a_proj.weight", "attn_q_a", Copy{}},
		{"model.layers.{b}.self_attn.q_a_layernorm.weight", "attn_q_a_norm", Copy{}},
		{"model.layers.{b}.self_attn.q_b_proj.weight", "attn_q_b", Copy{}},
		{"model.layers.{b}.self_attn.kv_a_proj_with_mqa.weight", "attn_kv_a_mqa", Copy{}},
		{"model.layers.{b}.self_attn.kv_a_layernorm.weight", "attn_kv_a_norm", Copy{}},
		{"model.layers.{b}.self_attn.kv_b_proj.weight", "", Split{
			{"attn_k_b", Chain{Group{heads}, Rows{Count: nope}, Transpose{}}},
			{"attn_v_b", Chain{Group{heads}, Rows{From: nope, Count: c.Count("v_head_dim")}}}}},
		{"model.layers.{b}.self_attn.o_proj.weight", names.AttnOutput, Copy{}},
		{"model.layers.{b}.self_attn.rotary_emb.inv_freq", "", Drop{}},
		{"model.layers.{b}.mlp.gate_proj.weight", names.FFNGate, Copy{}},
		{"model.layers.{b}.mlp.up_proj.weight", names.FFNUp, Copy{}},
		{"model.layers.{b}.mlp.down_proj.weight", names.FFNDown, Copy{}},
		{"model.layers.{b}.mlp.gate.weight", names.FFNGateInp, Copy{}},
		{"model.layers.{b}.mlp.gate.e_score_correction.bias", "exp_probs_b", Copy{}},
		{"model.layers.{b}.mlp.experts.{x}.down_proj.weight", names.FFNDownExps, stack},
		{"model.layers.{b}.mlp.experts.{x}.gate_proj.weight", names.FFNGateExps, stack},
		{"model.layers.{b}.mlp.experts.{x}.up_proj.weight", names.FFNUpExps, stack},
		{"model.layers.{b}.mlp.shared_experts.gate_proj.weight", names.FFNGateShexp, Copy{}},
		{"model.layers.{b}.mlp.shared_experts.up_proj.weight", names.FFNUpShexp, Copy{}},
		{"model.layers.{b}.mlp.shared_experts.down_proj.weight", names.FFNDownShexp, Copy{}},
		{"model.layers.{b}.eh_proj.weight", "nextn.eh_proj", Copy{}},
		{"model.layers.{b}.enorm.weight", "nextn.enorm", Copy{}},
		{"model.layers.{b}.hnorm.weight", "nextn.hnorm", Copy{}},
		{"model.layers.{b}.embed_tokens.weight", "nextn.embed_tokens", Copy{}},
		{"model.layers.{b}.shared_head.head.weight", "nextn.shared_head_head", Copy{}},
		{"model.layers.{b}.shared_head.norm.weight", "nextn.shared_head_norm", Copy{}},
	}
}

// latentContract is that of llama.cpp's deepseek2 and the architectures it loads likewise.
func latentContract(md *gguf.Metadata) []gguf.TensorInfo {
	d := readDims(md)
	dense, ffExp, mtp := d.key("leading_dense_block_count"), d.key("expert_feed_forward_length"), d.key("nextn_predict_layers")
	ts := d.frame()
	for b := range d.blocks {
		ts = append(ts, d.latent(b)...)
		if int64(b) < dense {
			ts = append(ts, d.ffn(b, d.ff, names.FFNGate, names.FFNUp, names.FFNDown)...)
		} else {
			ts = append(ts, d.experts(b, ffExp)...)
			ts = append(ts, d.bias(b, "exp_probs_b", d.expert))
			ts = append(ts, d.ffn(b, ffExp*d.key("expert_shared_count"), names.FFNGateShexp, names.FFNUpShexp, names.FFNDownShexp)...)
		}
		if int64(b) >= int64(d.blocks)-mtp {
			ts = append(ts, d.mat(b, "nextn.eh_proj", 2*d.embd, d.embd), d.vec(b, "nextn.enorm", d.embd), d.vec(b, "nextn.hnorm", d.embd),
				d.mat(b, "nextn.embed_tokens", d.embd, d.vocab), d.mat(b, "nextn.shared_head_head", d.embd, d.vocab), d.vec(b, "nextn.shared_head_norm", d.embd))
		}
	}
	return ts
}

// latent is a block's norms and latent attention.
func (d dims) latent(b int) []gguf.TensorInfo {
	rank, rope, key, value := d.key("attention.kv_lora_rank"), d.key("rope.dimension_count"), d.key("attention.key_length_mla"), d.key("attention.value_length_mla")
	ts := []gguf.TensorInfo{
		d.vec(b, names.AttnNorm, d.embd), d.vec(b, names.FFNNorm, d.embd), d.vec(b, "attn_kv_a_norm", rank), d.mat(b, "attn_kv_a_mqa", d.embd, rank+rope),
		{Name: names.Role("attn_k_b").In(b), Shape: gguf.Shape{key - rope, rank, d.heads}},
		{Name: names.Role("attn_v_b").In(b), Shape: gguf.Shape{rank, value, d.heads}},
		d.mat(b, names.AttnOutput, d.heads*value, d.embd),
	}
	if q := d.key("attention.q_lora_rank"); q > 0 {
		return append(ts, d.vec(b, "attn_q_a_norm", q), d.mat(b, "attn_q_a", d.embd, q), d.mat(b, "attn_q_b", q, d.heads*key))
	}
	return append(ts, d.mat(b, names.AttnQ, d.embd, d.heads*key))
}
