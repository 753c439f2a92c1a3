package family

import (
	"fmt"
	"math"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/gguf/names"
)

// Hunyuan-A13B: every block a mixture of softmax-routed experts beside one shared expert of their size.
func init() {
	register(Family{
		Arch:     "hunyuan-moe",
		Classes:  []string{"HunYuanMoEV1ForCausalLM"},
		Example:  "tencent/Hunyuan-A13B-Instruct",
		Only:     hunyuanMoeOnly,
		Check:    checkHunyuanMoe,
		Adjust:   hunyuanMoeDefaults,
		Keys:     hunyuanMoeKeys,
		Rules:    hunyuanMoeRules,
		Contract: hunyuanMoeContract,
		Required: []string{"feed_forward_length", "expert_count", "expert_used_count", "expert_feed_forward_length"},
		Optional: []names.Role{names.OutputWeight},
		Vocab:    []string{"hunyuan"}, Pre: []string{"hunyuan"},
		Graph: &Graph{Rope: RopeNeox, QKNorm: QKNormLast, Gate: Softmax, NormalizeWeights: true},
	})
}

var hunyuanMoeOnly = []Only{
	{"attention_bias", false, ""},
	{"mlp_bias", false, ""},
	{"use_qk_norm", true, "llama.cpp always normalises query and key in this architecture"},
	{"use_cla", false, "layers that share keys and values are not implemented"},
	{"use_mixed_mlp_moe", true, "llama.cpp needs a shared expert"},
	{"norm_topk_prob", true, "llama.cpp always renormalises the experts' weights in this architecture"},
	{"moe_layer_num_skipped", int64(0), "every block must be a mixture of experts"},
	{"position_embedding_xdrope", false, ""},
	{"add_classification_head", false, ""},
	{"group_limited_greedy", false, "experts are not grouped in this architecture"},
	{"norm_type", "rms", ""},
	{"kv_lora_rank", nil, ""},
	{"q_lora_rank", nil, ""},
}

// hunyuanMoeDefaults are those of the class in transformers, through which the reference reads config.json.
func hunyuanMoeDefaults(c Config) Config {
	return defaults{"rms_norm_eps": "1e-05"}.fill(c).withTheta("10000.0")
}

func checkHunyuanMoe(c Config) error {
	c = hunyuanMoeDefaults(c)
	if err := c.checkAttention(); err != nil {
		return err
	}
	for _, key := range []string{"moe_intermediate_size", "moe_topk", "num_shared_expert"} {
		if err := c.checkSameInts(key); err != nil {
			return err
		}
	}
	c.counts("vocab_size", "intermediate_size", "max_position_embeddings", "num_experts")
	if c.Float("rms_norm_eps"); c.Err() != nil {
		return c.Err()
	}
	if n := c.Ints("moe_topk")[0]; n > c.Count("num_experts") {
		return fmt.Errorf("config.json: moe_topk %d exceeds num_experts %d", n, c.Count("num_experts"))
	}
	if f, ff := c.Ints("moe_intermediate_size")[0], c.Count("intermediate_size"); f != ff {
		return &gguf.UnsupportedError{Msg: fmt.Sprintf("config.json: moe_intermediate_size %d is not supported with intermediate_size %d: llama.cpp has experts of intermediate_size", f, ff)}
	}
	if n := c.Ints("num_shared_expert")[0]; n != 1 {
		return &gguf.UnsupportedError{Msg: fmt.Sprintf("config.json: num_shared_expert %d is not supported: llama.cpp has one shared expert in this architecture", n)}
	}
	if v := c.Raw("routed_scaling_factor"); v != nil && v != false && !equalValue(v, int64(1)) {
		return &gguf.UnsupportedError{Msg: fmt.Sprintf("config.json: routed_scaling_factor %s is not supported: the experts' weights are not scaled in this architecture", show(v))}
	}
	return checkHunyuanRope(c)
}

// checkHunyuanRope refuses scaling other than the one from which the reference knows the context's length.
func checkHunyuanRope(c Config) error {
	r := c.Rope()
	if r.Type() != "dynamic" {
		return c.checkRopeType()
	}
	r.Float("alpha")
	theta, ctx, dim := r.floatOr("rope_theta", 10000), c.Count("max_position_embeddings"), c.Count("hidden_size")/c.Count("num_attention_heads")
	if err := c.Err(); err != nil {
		return err
	}
	if alpha := r.Float("alpha"); alpha != 1000 || theta != 10000 || dim != 128 || c.headDim() != 128 || ctx != 32<<10 && ctx != 256<<10 {
		return &gguf.UnsupportedError{Msg: fmt.Sprintf("config.json: dynamic rotary embedding with alpha %v, rope_theta %v, heads of %d and a context of %d tokens is not supported: what is known is alpha 1000, rope_theta 10000, heads of 128 and 32768 or 262144 tokens", alpha, theta, dim, ctx)}
	}
	return nil
}

func hunyuanMoeKeys(c Config, md *gguf.Metadata) error {
	md.Set(md.ArchKey("expert_shared_feed_forward_length"), uint32(c.Count("intermediate_size")))
	md.Set(md.ArchKey("expert_feed_forward_length"), uint32(c.Ints("moe_intermediate_size")[0]))
	md.Set(md.ArchKey("expert_used_count"), uint32(c.Ints("moe_topk")[0]))
	md.Set(md.ArchKey("expert_shared_count"), uint32(c.Ints("num_shared_expert")[0]))
	if r := c.Rope(); r.Type() == "dynamic" {
		dim := float64(c.headDim())
		md.Set(md.ArchKey("rope.freq_base"), float32(10000*math.Pow(r.Float("alpha"), dim/(dim-2))))
		md.Set(md.ArchKey("rope.scaling.type"), "none")
		md.Set(md.ArchKey("rope.scaling.factor"), float32(1))
		md.Set(md.ArchKey("rope.scaling.original_context_length"), uint32(256<<10))
		md.Set(md.ArchKey("context_length"), uint32(256<<10))
	}
	return c.Err()
}

func hunyuanMoeRules(c Config) []Rule {
	var head Op = Copy{}
	if c.Tied() {
		head = Drop{}
	}
	stack := Stack{Experts: c.Count("num_experts"), Group: "experts"}
	return append(sharedRules("shared_mlp"), []Rule{
		{"model.embed_tokens.weight", names.TokenEmbd, Copy{}},
		{"model.norm.weight", names.OutputNorm, Copy{}},
		{"lm_head.weight", names.OutputWeight, head},
		{"model.layers.{b}.input_layernorm.weight", names.AttnNorm, Copy{}},
		{"model.layers.{b}.post_attention_layernorm.weight", names.FFNNorm, Copy{}},
		{"model.layers.{b}.self_attn.q_proj.weight", names.AttnQ, Copy{}},
		{"model.layers.{b}.self_attn.k_proj.weight", names.AttnK, Copy{}},
		{"model.layers.{b}.self_attn.v_proj.weight", names.AttnV, Copy{}},
		{"model.layers.{b}.self_attn.o_proj.weight", names.AttnOutput, Copy{}},
		{"model.layers.{b}.self_attn.query_layernorm.weight", "attn_q_norm", Copy{}},
		{"model.layers.{b}.self_attn.key_layernorm.weight", "attn_k_norm", Copy{}},
		{"model.layers.{b}.mlp.gate.wg.weight", names.FFNGateInp, Copy{}},
		{"model.layers.{b}.mlp.experts.{x}.down_proj.weight", names.FFNDownExps, stack},
		{"model.layers.{b}.mlp.experts.{x}.gate_proj.weight", names.FFNGateExps, stack},
		{"model.layers.{b}.mlp.experts.{x}.up_proj.weight", names.FFNUpExps, stack},
	}...)
}

func hunyuanMoeContract(md *gguf.Metadata) []gguf.TensorInfo {
	d := readDims(md)
	shared := d.keyOr("expert_shared_feed_forward_length", d.ff)
	ts := d.frame()
	for b := range d.blocks {
		ts = append(ts, d.attention(b)...)
		ts = append(ts, d.vec(b, "attn_q_norm", d.headDim), d.vec(b, "attn_k_norm", d.headDim))
		ts = append(ts, d.experts(b, d.ff)...)
		ts = append(ts, d.ffn(b, shared, names.FFNGateShexp, names.FFNUpShexp, names.FFNDownShexp)...)
	}
	return ts
}
