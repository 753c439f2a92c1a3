package main

import (
	"encoding/json"
	"os"
	"path/filepath"

	"github.com/moeconv/moeconv/gguf"
)

const keyTokens = "tokenizer.ggml.tokens"

// Types of tokens, as in tokenizer.ggml.token_type.
const (
	typeControl = 3
	typeUser    = 4
)

// writeJSONs writes everything but the weights.
func (mix mixture) writeJSONs(md *gguf.Metadata, d dimensions, dir string) error {
	tok, cfg, err := tokenizer(md)
	if err != nil {
		return err
	}
	for name, v := range map[string]any{
		"tokenizer.json":        tok,
		"tokenizer_config.json": cfg,
		"config.json":           mix.config(d),
	} {
		data, err := json.MarshalIndent(v, "", "  ")
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o666); err != nil {
			return err
		}
	}
	return nil
}

func (mix mixture) config(d dimensions) map[string]any {
	return map[string]any{
		"architectures": []string{"MixtralForCausalLM"}, "model_type": "mixtral", "torch_dtype": "bfloat16",
		"hidden_size": d.embedding, "intermediate_size": d.ff, "num_hidden_layers": d.blocks,
		"num_attention_heads": d.heads, "num_key_value_heads": d.headsKV, "max_position_embeddings": d.context,
		"rope_theta": d.theta, "rms_norm_eps": d.eps, "vocab_size": d.vocab, "tie_word_embeddings": true,
		"num_local_experts": mix.experts, "num_experts_per_tok": mix.used, "hidden_act": "silu",
		"bos_token_id": 1, "eos_token_id": 2,
	}
}

// tokenizer is tokenizer.json and tokenizer_config.json: byte-level pairs after single digits.
func tokenizer(md *gguf.Metadata) (tok, cfg map[string]any, err error) {
	tokens, err := gguf.Value[[]string](md, keyTokens)
	if err != nil {
		return nil, nil, err
	}
	merges, err := gguf.Value[[]string](md, "tokenizer.ggml.merges")
	if err != nil {
		return nil, nil, err
	}
	types, err := gguf.Value[[]int32](md, "tokenizer.ggml.token_type")
	if err != nil {
		return nil, nil, err
	}
	template, err := gguf.Value[string](md, "tokenizer.chat_template")
	if err != nil {
		return nil, nil, err
	}
	vocab := map[string]int{}
	var added []map[string]any
	for i, t := range tokens {
		vocab[t] = i
		if types[i] == typeControl || types[i] == typeUser {
			added = append(added, map[string]any{"id": i, "content": t, "special": types[i] == typeControl,
				"single_word": false, "lstrip": false, "rstrip": false, "normalized": false})
		}
	}
	byteLevel := map[string]any{"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true}
	tok = map[string]any{
		"version": "1.0", "added_tokens": added, "decoder": byteLevel,
		"pre_tokenizer": map[string]any{"type": "Sequence", "pretokenizers": []any{
			map[string]any{"type": "Digits", "individual_digits": true}, byteLevel}},
		"model": map[string]any{"type": "BPE", "vocab": vocab, "merges": merges, "byte_fallback": false, "fuse_unk": false},
	}
	cfg = map[string]any{"tokenizer_class": "GPT2Tokenizer", "chat_template": template, "add_prefix_space": false,
		"bos_token": "<|im_start|>", "eos_token": "<|im_end|>", "unk_token": "<|endoftext|>", "pad_token": "<|im_end|>"}
	return tok, cfg, nil
}
