package family

import (
	"errors"
	"testing"

	"github.com/moeconv/moeconv/gguf"
)

// refusals are fields with values that make a model another than the file would say, by the fixture's name.
// Those marked broken contradict the rest of the config; the others mean a graph that llama.cpp has not.
var refusals = []struct {
	fixture, field, value string
	broken                bool
}{
	{"llama4", "attention_chunk_size", "4096", false},
	{"llama4", "attn_scale", "0.2", false},
	{"llama4", "attn_temperature_tuning", "false", false},
	{"llama4", "attn_temperature_tuning", "0", false},
	{"llama4", "use_qk_norm", "false", false},
	{"llama4", "num_local_experts", "128", false},
	{"llama4", "no_rope_layers", "[1, 1, 0, 1]", false},
	{"llama4", "moe_layers", "[0, 1, 3]", false},
	{"llama4", "layer_types", `["full_attention", "full_attention", "full_attention", "full_attention"]`, false},
	{"llama4", "rope_scaling", `{"rope_type": "dynamic", "factor": 4.0}`, false},
	{"llama4", "interleave_moe_layer_step", "5", false},
	{"llama4", "interleave_moe_layer_step", "0", true},
	{"hunyuan-moe", "rope_scaling", `{"type": "dynamic", "alpha": 500.0}`, false},
	{"hunyuan-moe", "rope_scaling", `{"type": "dynamic", "factor": 2.0}`, true},
	{"hunyuan-moe", "rope_scaling", `{"type": "yarn", "factor": 2.0}`, false},
	{"hunyuan-moe", "num_shared_expert", "[2, 2]", false},
	{"hunyuan-moe", "moe_topk", "[1, 2]", false},
	{"hunyuan-moe", "moe_topk", "[9, 9]", true},
	{"hunyuan-moe", "moe_topk", "8", true},
	{"hunyuan-moe", "moe_intermediate_size", "[8, 8]", false},
	{"hunyuan-moe", "moe_intermediate_size", "[]", true},
	{"hunyuan-moe", "routed_scaling_factor", "2.0", false},
	{"hunyuan-moe", "use_cla", "true", false},
	{"bailing-moe", "first_k_dense_replace", "1", false},
	{"bailing-moe", "use_qkv_bias", "true", false},
	{"bailing-moe", "score_function", `"sigmoid"`, false},
	{"bailing-moe", "norm_topk_prob", "null", true},
	{"bailing-moe", "norm_head", `"yes"`, true},
	{"bailing-moe", "rope_scaling", `{"type": "dynamic", "factor": 2.0}`, false},
	{"bailing-moe", "num_experts_per_tok", "99", true},
	{"bailing-moe2", "first_k_dense_replace", "9", true},
	{"bailing-moe2", "norm_head", "true", false},
	{"bailing-moe2", "score_function", "null", true},
	{"bailing-moe2", "partial_rotary_factor", "0.3", true},
	{"bailing-moe2", "n_group", "3", true},
	{"bailing-moe2", "head_dim", "8", true},
	{"lfm2-moe", "layer_types", `["conv", "mamba", "conv"]`, false},
	{"lfm2-moe", "layer_types", `["conv"]`, true},
	{"lfm2-moe", "layer_types", `"conv"`, true},
	{"lfm2-moe", "use_expert_bias", "false", false},
	{"lfm2-moe", "conv_bias", "true", false},
	{"lfm2-moe", "routed_scaling_factor", "2.5", false},
	{"lfm2-moe", "head_dim", "64", true},
	{"gemma4", "hidden_size_per_layer_input", "256", false},
	{"gemma4", "hidden_size_per_layer_input", "null", true},
	{"gemma4", "num_kv_shared_layers", "1", false},
	{"gemma4", "use_bidirectional_attention", `"all"`, false},
	{"gemma4", "layer_types", `["sliding_attention", "chunked_attention", "full_attention"]`, false},
	{"gemma4", "enable_moe_block", "false", true},
	{"gemma4", "top_k_experts", "4", true},
	{"gemma4", "rope_parameters", `{"full_attention": {"rope_type": "yarn", "rope_theta": 1e6, "partial_rotary_factor": 0.25}}`, false},
	{"gemma4", "rope_parameters", "null", true},
	{"gemma4", "num_global_key_value_heads", "3", true},
	{"gpt-oss", "swiglu_limit", "6.0", false},
	{"gpt-oss", "attention_bias", "false", false},
	{"gpt-oss", "layer_types", `["full_attention", "full_attention"]`, false},
	{"gpt-oss", "layer_types", `["sliding_attention"]`, true},
	{"gpt-oss", "rope_scaling", `{"rope_type": "llama3", "factor": 8.0}`, false},
	{"gpt-oss", "rope_scaling", `{"rope_type": "yarn", "factor": 0.0, "original_max_position_embeddings": 4096}`, true},
	{"gpt-oss", "rope_scaling", `{"rope_type": "yarn", "factor": 4.0}`, true},
	{"gpt-oss", "sliding_window", "null", true},
	{"gpt-oss", "experts_per_token", "3", true},
	{"gpt-oss", "num_experts_per_tok", "9", true},
	{"deepseek-v3", "q_lora_rank", "null", false},
	{"deepseek-v3", "num_hidden_layers", "27", false},
	{"deepseek-v3", "scoring_func", "null", false},
	{"deepseek-v3", "topk_method", `"greedy"`, false},
	{"deepseek-v3", "moe_layer_freq", "2", false},
	{"deepseek-v3", "attention_bias", "true", false},
	{"deepseek-v3", "rope_interleave", "false", false},
	{"deepseek-v3", "rope_scaling", `{"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 4096, "mscale": 1.0, "mscale_all_dim": 0.5}`, false},
	{"deepseek-v3", "rope_scaling", `{"type": "longrope"}`, false},
	{"deepseek-v3", "n_group", "3", true},
	{"deepseek-v3", "topk_group", "3", true},
	{"deepseek-v3", "num_key_value_heads", "1", true},
	{"deepseek-v3", "n_shared_experts", "0", true},
	{"deepseek-v3", "qk_rope_head_dim", "7", true},
	{"deepseek-v3", "mlp_layer_types", `["sparse", "sparse"]`, true},
	{"glm4-moe-lite", "scoring_func", "null", false},
	{"phi-3.5-moe", "lm_head_bias", "false", false},
	{"phi-3.5-moe", "attention_bias", "false", false},
	{"phi-3.5-moe", "num_experts_per_tok", "1", false},
	{"phi-3.5-moe", "rope_scaling", `{"type": "longrope", "original_max_position_embeddings": 1, "long_factor": [1, 1, 1, 1, 1, 1], "short_factor": [1, 1, 1, 1, 1, 1]}`, true},
	{"phi-3.5-moe", "rope_scaling", `{"type": "longrope", "long_factor": [1, 1], "short_factor": [1, 1]}`, true},
	{"phi-3.5-moe", "rope_scaling", `{"long_factor": [1, 1, 1, 1, 1, 1], "short_factor": [1, 1, 1, 1, 1, 1]}`, true},
	{"phi-3.5-moe", "rope_scaling", `{"type": "linear", "factor": 2.0}`, false},
	{"grin", "head_dim", "8", true},
	{"llama", "rope_scaling", `{"rope_type": "dynamic", "factor": 2.0}`, false},
	{"llama", "draft_vocab_size", "100", false},
	{"mistral", "sliding_window", "4096", false},
	{"mistral4", "model_type", `"ministral3"`, false},
}

// A config that means another model is refused: as damaged, or as not supported.
func TestRefusals(t *testing.T) {
	byName := map[string]sample{}
	for _, s := range samples(t) {
		byName[s.name] = s // the micro checkpoint's, where there are two
	}
	for _, tt := range refusals {
		s, ok := byName[tt.fixture]
		if !ok {
			t.Errorf("no fixture %s", tt.fixture)
			continue
		}
		if err := s.f.CheckConfig(s.config(), s.f.Classes[0]); err != nil {
			t.Errorf("%s: %v", tt.fixture, err)
		}
		err := s.f.CheckConfig(s.config().With(tt.field, value(t, tt.value)), s.f.Classes[0])
		var unsupported *gguf.UnsupportedError
		if err == nil || errors.As(err, &unsupported) == tt.broken {
			t.Errorf("%s with %s %s: %v", tt.fixture, tt.field, tt.value, err)
		}
	}
}
