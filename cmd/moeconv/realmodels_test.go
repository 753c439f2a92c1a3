package main

import "fmt"

// gptOSS is openai/gpt-oss-20b, its experts in MXFP4.
var gptOSS = realModel{
	name: "gpt-oss-20b", arch: "gpt-oss",
	config: `{"architectures": ["GptOssForCausalLM"], "attention_bias": true, "eos_token_id": 200002, "experts_per_token": 4, "head_dim": 64,
		"hidden_act": "silu", "hidden_size": 2880, "initial_context_length": 4096, "intermediate_size": 2880, "layer_types": [
		"sliding_attention", "full_attention", "sliding_attention", "full_attention", "sliding_attention", "full_attention",
		"sliding_attention", "full_attention", "sliding_attention", "full_attention", "sliding_attention", "full_attention",
		"sliding_attention", "full_attention", "sliding_attention", "full_attention", "sliding_attention", "full_attention",
		"sliding_attention", "full_attention", "sliding_attention", "full_attention", "sliding_attention", "full_attention"],
		"max_position_embeddings": 131072, "model_type": "gpt_oss", "num_attention_heads": 64, "num_experts_per_tok": 4, "num_hidden_layers": 24,
		"num_key_value_heads": 8, "num_local_experts": 32, "pad_token_id": 199999, "quantization_config": {"modules_to_not_convert":
		["model.layers.*.self_attn", "model.layers.*.mlp.router", "model.embed_tokens", "lm_head"], "quant_method": "mxfp4"},
		"rms_norm_eps": 1e-05, "rope_scaling": {"beta_fast": 32.0, "beta_slow": 1.0, "factor": 32.0, "original_max_position_embeddings": 4096,
		"rope_type": "yarn", "truncate": false}, "rope_theta": 150000, "sliding_window": 128, "swiglu_limit": 7.0, "tie_word_embeddings": false,
		"vocab_size": 201088}`,
	tensors: addGPTOSS, shards: 3,
	params: 20914757184, active: 4187440704, embedding: 579133440, count: 459, f32: 289, expert: 144, experts: 32, used: 4, layers: 24,
	outType: "bf16", gib: 12.8, gb: 13.8,
}

func addGPTOSS(add func(name, dtype string, shape ...int64)) {
	const hidden, experts, heads, kv, vocab = 2880, 32, 64 * 64, 8 * 64, 201088
	add("model.embed_tokens.weight", "BF16", vocab, hidden)
	for b := range 24 {
		l := fmt.Sprintf("model.layers.%d.", b)
		for _, p := range []struct {
			name    string
			out, in int64
		}{{"q", heads, hidden}, {"k", kv, hidden}, {"v", kv, hidden}, {"o", hidden, heads}} {
			add(l+"self_attn."+p.name+"_proj.weight", "BF16", p.out, p.in)
			add(l+"self_attn."+p.name+"_proj.bias", "BF16", p.out)
		}
		add(l+"self_attn.sinks", "BF16", 64)
		add(l+"input_layernorm.weight", "BF16", hidden)
		add(l+"post_attention_layernorm.weight", "BF16", hidden)
		add(l+"mlp.router.weight", "BF16", experts, hidden)
		add(l+"mlp.router.bias", "BF16", experts)
		for name, rows := range map[string]int64{"gate_up": 2 * hidden, "down": hidden} {
			add(l+"mlp.experts."+name+"_proj_blocks", "U8", experts, rows, hidden/32, 16)
			add(l+"mlp.experts."+name+"_proj_scales", "U8", experts, rows, hidden/32)
			add(l+"mlp.experts."+name+"_proj_bias", "BF16", experts, rows)
		}
	}
	add("model.norm.weight", "BF16", hidden)
	add("lm_head.weight", "BF16", vocab, hidden)
}

// phiMoE is microsoft/Phi-3.5-MoE-instruct.
var phiMoE = realModel{
	name: "Phi-3.5-MoE-instruct", arch: "phimoe",
	config: `{"architectures": ["PhiMoEForCausalLM"], "attention_bias": true, "bos_token_id": 1, "eos_token_id": 32000, "hidden_act": "silu",
		"hidden_size": 4096, "input_jitter_noise": 0.01, "intermediate_size": 6400, "lm_head_bias": true, "max_position_embeddings": 131072,
		"model_type": "phimoe", "num_attention_heads": 32, "num_experts_per_tok": 2, "num_hidden_layers": 32, "num_key_value_heads": 8,
		"num_local_experts": 16, "original_max_position_embeddings": 4096, "rms_norm_eps": 1e-05, "rope_scaling": {"long_factor": [` + factors(64) + `],
		"long_mscale": 1.243163121016122, "original_max_position_embeddings": 4096, "short_factor": [` + factors(64) + `],
		"short_mscale": 1.243163121016122, "type": "longrope"}, "rope_theta": 10000.0, "router_jitter_noise": 0.01, "sliding_window": 131072,
		"tie_word_embeddings": false, "torch_dtype": "bfloat16", "vocab_size": 32064}`,
	tensors: addPhi, shards: 17, sentencePiece: true,
	params: 41873153344, active: 6640999744, embedding: 131334144, count: 519, f32: 293, expert: 96, experts: 16, used: 2, layers: 32,
	outType: "f16", gib: 78.0, gb: 83.8,
	schemes: map[string]float64{"Q8_0": 41.44, "Q4_K_M": 23.60, "Q2_K": 14.22},
}

// factors are n numbers of a list; their values do not matter to sizes.
func factors(n int) string {
	s := "1.25"
	for range n - 1 {
		s += ", 1.25"
	}
	return s
}

func addPhi(add func(name, dtype string, shape ...int64)) {
	const hidden, ff, kv, vocab = 4096, 6400, 1024, 32064
	both := func(name string, shape ...int64) {
		add(name+".weight", "BF16", shape...)
		add(name+".bias", "BF16", shape[0])
	}
	add("model.embed_tokens.weight", "BF16", vocab, hidden)
	for b := range 32 {
		l := fmt.Sprintf("model.layers.%d.", b)
		both(l+"self_attn.q_proj", hidden, hidden)
		both(l+"self_attn.k_proj", kv, hidden)
		both(l+"self_attn.v_proj", kv, hidden)
		both(l+"self_attn.o_proj", hidden, hidden)
		both(l+"input_layernorm", hidden)
		both(l+"post_attention_layernorm", hidden)
		add(l+"block_sparse_moe.gate.weight", "BF16", 16, hidden)
		for x := range 16 {
			e := fmt.Sprintf("%sblock_sparse_moe.experts.%d.", l, x)
			add(e+"w1.weight", "BF16", ff, hidden)
			add(e+"w2.weight", "BF16", hidden, ff)
			add(e+"w3.weight", "BF16", ff, hidden)
		}
	}
	both("model.norm", hidden)
	both("lm_head", vocab, hidden)
}
