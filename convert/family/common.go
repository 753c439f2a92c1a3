package family

import (
	"fmt"

	"github.com/moeconv/moeconv/gguf"
)

// commonOnly are fields no family implements beyond the value given.
var commonOnly = []Only{
	{Key: "is_causal", Value: true},
	{Key: "hidden_act", Value: "silu", Why: "only silu is implemented"},
	{Key: "partial_rotary_factor", Value: int64(1), Why: "every head is rotated whole"},
}

// commonKeys writes what the reference converter writes for every text model, in its order and with its
// aliases of config fields.
func commonKeys(c Config, md *gguf.Metadata) {
	u32 := func(key string, aliases ...string) {
		if k := c.First(aliases...); c.Has(k) {
			md.Set(md.ArchKey(key), uint32(c.Count(k)))
		}
	}
	f32 := func(key string, aliases ...string) {
		if k := c.First(aliases...); c.Has(k) {
			md.Set(md.ArchKey(key), float32(c.Float(k)))
		}
	}
	u32("block_count", "n_layers", "num_hidden_layers", "n_layer", "num_layers")
	u32("context_length", "max_position_embeddings", "n_ctx", "n_positions", "max_length", "max_sequence_length", "model_max_length")
	u32("embedding_length", "hidden_size", "n_embd", "dim")
	u32("feed_forward_length", "prefix_dense_intermediate_size", "dense_intermediate_size", "intermediate_size", "n_inner", "hidden_dim")
	u32("attention.head_count", "num_attention_heads", "n_head", "n_heads")
	u32("attention.head_count_kv", "num_key_value_heads", "n_kv_heads")
	ropeKeys(c, md)
	f32("attention.layer_norm_rms_epsilon", "rms_norm_eps", "norm_eps")
	f32("attention.layer_norm_epsilon", "layer_norm_eps", "layer_norm_epsilon", "norm_epsilon")
	u32("expert_count", "num_local_experts", "num_experts", "n_routed_experts")
	u32("expert_used_count", "num_experts_per_tok", "num_experts_per_token", "top_k_experts")
	for _, k := range []struct{ key, field string }{{"expert_group_count", "n_group"}, {"expert_group_used_count", "topk_group"}} {
		if c.Raw(k.field) == false { // Hunyuan's way to say that there are none; the reference writes a number all the same
			md.Set(md.ArchKey(k.key), uint32(0))
			continue
		}
		u32(k.key, k.field)
	}
	if k := c.First("score_function", "scoring_func", "score_func", "moe_router_activation", "moe_router_activation_func", "expert_selection_fn"); c.Has(k) {
		md.Set(md.ArchKey("expert_gating_func"), c.gatingFunc(k))
	}
	if c.Has("head_dim") {
		n := uint32(c.Count("head_dim"))
		md.Set(md.ArchKey("attention.key_length"), n)
		md.Set(md.ArchKey("attention.value_length"), n)
	}
}

// gatingFunc is the number GGUF gives the gating function a field names.
func (c Config) gatingFunc(key string) uint32 {
	s := c.StringOr(key, "")
	switch s {
	case "softmax":
		return 1
	case "sigmoid":
		return 2
	case "sqrtsoftplus":
		return 4
	}
	c.fail("%s %q is not a gating function known here (softmax, sigmoid)", key, s)
	return 0
}

// headDim is the size of one attention head.
func (c Config) headDim() int64 {
	if c.Has("head_dim") {
		return c.Count("head_dim")
	}
	heads := c.Count("num_attention_heads")
	if heads == 0 {
		return 0 // the error is recorded
	}
	return c.Count("hidden_size") / heads
}

// checkAttention holds the fields of attention against each other.
func (c Config) checkAttention() error {
	hidden, heads := c.Count("hidden_size"), c.Count("num_attention_heads")
	kv := c.CountOr("num_key_value_heads", heads)
	if err := c.Err(); err != nil {
		return err
	}
	if hidden%heads != 0 && !c.Has("head_dim") {
		return fmt.Errorf("config.json: hidden_size %d is not divisible by num_attention_heads %d", hidden, heads)
	}
	if heads%kv != 0 {
		return fmt.Errorf("config.json: num_attention_heads %d is not divisible by num_key_value_heads %d", heads, kv)
	}
	if d := c.headDim(); d%2 != 0 {
		return fmt.Errorf("config.json: heads of %d elements cannot be rotated: the size must be even", d)
	}
	return c.Err()
}

// checkTopK holds the number of experts used for a token against their number.
func (c Config) checkTopK(expertsKey string) error {
	n, used := c.Count(expertsKey), c.Count("num_experts_per_tok")
	if err := c.Err(); err != nil {
		return err
	}
	if used > n {
		return fmt.Errorf("config.json: num_experts_per_tok %d exceeds the %d experts of %s", used, n, expertsKey)
	}
	return nil
}
