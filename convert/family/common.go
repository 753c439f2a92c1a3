package family

import (
	"fmt"

	"github.com/moeconv/moeconv/gguf"
)

// commonOnly are fields no family implements beyond the value given.
var commonOnly = []Only{
	{Key: "quantization_config", Value: nil, Why: "the checkpoint is quantized; start from the full-precision one"},
	{Key: "text_config", Value: nil, Why: "multimodal checkpoints are not implemented"},
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
	if theta, ok := c.ropeTheta(); ok {
		md.Set(md.ArchKey("rope.freq_base"), float32(theta))
	}
	f32("attention.layer_norm_rms_epsilon", "rms_norm_eps", "norm_eps")
	f32("attention.layer_norm_epsilon", "layer_norm_eps", "layer_norm_epsilon", "norm_epsilon")
	u32("expert_count", "num_local_experts", "num_experts", "n_routed_experts")
	u32("expert_used_count", "num_experts_per_tok", "num_experts_per_token", "top_k_experts")
	u32("expert_group_count", "n_group")
	u32("expert_group_used_count", "topk_group")
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

// ropeObject is the field that describes rotary embedding: transformers 5 writes rope_parameters, before it was rope_scaling.
func (c Config) ropeObject() (name string, o map[string]any) {
	name = c.First("rope_parameters", "rope_scaling")
	if name == "" {
		return name, nil
	}
	return name, c.Object(name)
}

// ropeTheta is the base of rotary frequencies where the config states one.
func (c Config) ropeTheta() (theta float64, ok bool) {
	name, o := c.ropeObject()
	if v, ok := o["rope_theta"]; ok {
		if v == nil {
			return 0, false
		}
		return c.float(name+".rope_theta", v), true
	}
	if k := c.First("global_rope_theta", "rope_global_theta", "rope_theta_global", "rope_theta", "rotary_emb_base"); c.Has(k) {
		return c.Float(k), true
	}
	return 0, false
}

// checkNoRopeScaling refuses scaled rotary embedding for families that have none.
func (c Config) checkNoRopeScaling(class string) error {
	for _, name := range []string{"rope_scaling", "rope_parameters"} {
		for k, v := range c.Object(name) {
			plain := k == "rope_theta" || (k == "type" || k == "rope_type") && v == "default" || v == nil
			if !plain {
				return &gguf.UnsupportedError{Msg: fmt.Sprintf("config.json: %s %s is not supported for %s: the positions would be wrong", name, show(c.Raw(name)), class)}
			}
		}
	}
	return c.Err()
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
