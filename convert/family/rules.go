package family

import (
	"encoding/json"

	"github.com/moeconv/moeconv/gguf/names"
)

// decoderRules are the tensors that most decoders name alike and that are taken as they are: what surrounds the
// blocks, attention with or without biases, and the norm before the feed-forward network as ffnNorm.
func decoderRules(ffnNorm names.Role) []Rule {
	return []Rule{
		{"model.embed_tokens.weight", names.TokenEmbd, Copy{}},
		{"model.norm.weight", names.OutputNorm, Copy{}},
		{"lm_head.weight", names.OutputWeight, Copy{}},
		{"model.layers.{b}.input_layernorm.weight", names.AttnNorm, Copy{}},
		{"model.layers.{b}.post_attention_layernorm.weight", ffnNorm, Copy{}},
		{"model.layers.{b}.self_attn.q_proj.{s}", names.AttnQ, Copy{}},
		{"model.layers.{b}.self_attn.k_proj.{s}", names.AttnK, Copy{}},
		{"model.layers.{b}.self_attn.v_proj.{s}", names.AttnV, Copy{}},
		{"model.layers.{b}.self_attn.o_proj.weight", names.AttnOutput, Copy{}},
	}
}

// qkNormRules are the norms of queries and keys.
func qkNormRules() []Rule {
	return []Rule{
		{"model.layers.{b}.self_attn.q_norm.weight", "attn_q_norm", Copy{}},
		{"model.layers.{b}.self_attn.k_norm.weight", "attn_k_norm", Copy{}},
	}
}

// ffnRules are a gated feed-forward network below a block's mlp; within is empty, or the network's name and a dot.
func ffnRules(within string, gate, up, down names.Role) []Rule {
	return []Rule{
		{"model.layers.{b}.mlp." + within + "gate_proj.weight", gate, Copy{}},
		{"model.layers.{b}.mlp." + within + "up_proj.weight", up, Copy{}},
		{"model.layers.{b}.mlp." + within + "down_proj.weight", down, Copy{}},
	}
}

// denseRules are the feed-forward network of a block without experts.
func denseRules() []Rule { return ffnRules("", names.FFNGate, names.FFNUp, names.FFNDown) }

// sharedRules are the shared experts, under their name in the checkpoint.
func sharedRules(name string) []Rule {
	return ffnRules(name+".", names.FFNGateShexp, names.FFNUpShexp, names.FFNDownShexp)
}

// expertRules are the router and the routed experts, one matrix each.
func expertRules(experts int64) []Rule {
	stack := Stack{Experts: experts, Group: "experts"}
	return []Rule{
		{"model.layers.{b}.mlp.gate.weight", names.FFNGateInp, Copy{}},
		{"model.layers.{b}.mlp.experts.{x}.down_proj.weight", names.FFNDownExps, stack},
		{"model.layers.{b}.mlp.experts.{x}.gate_proj.weight", names.FFNGateExps, stack},
		{"model.layers.{b}.mlp.experts.{x}.up_proj.weight", names.FFNUpExps, stack},
	}
}

// fusedExpertRules are the routed experts as transformers 5 holds them: all in one tensor, gate above up.
func fusedExpertRules(ff int64) []Rule {
	split := Split{{names.FFNGateExps, Rows{Count: ff}}, {names.FFNUpExps, Rows{From: ff}}}
	return []Rule{
		{"model.layers.{b}.mlp.experts.down_proj", names.FFNDownExps, Copy{}},
		{"model.layers.{b}.mlp.experts.down_proj.weight", names.FFNDownExps, Copy{}},
		{"model.layers.{b}.mlp.experts.gate_up_proj", "", split},
		{"model.layers.{b}.mlp.experts.gate_up_proj.weight", "", split},
	}
}

// defaults are values of config fields that the reference takes where config.json has none: those of the
// model's class in transformers, through which it reads config.json.
type defaults map[string]string

// fill adds the numbers, and the things that are true, that are missing.
func (d defaults) fill(c Config) Config {
	for key, text := range d {
		if _, ok := c.get(key); ok {
			continue
		}
		if text == "true" {
			c = c.With(key, true)
			continue
		}
		c = c.With(key, json.Number(text))
	}
	return c
}

// fillRope is fill, with the base of rotary embedding where config.json says nothing of it.
func (d defaults) fillRope(c Config) Config {
	c = d.fill(c)
	if !c.Rope().Full().Has("rope_theta") && !c.Has("rope_theta") {
		c = c.With("rope_theta", json.Number("10000.0"))
	}
	return c
}
