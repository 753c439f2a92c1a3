package verify

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/moeconv/moeconv/gguf"
)

// keyTypes are the value types of the standard keys, by key; those of a model's parameters without its architecture. Where
// several are listed, files of the reference have each.
var keyTypes = map[string]string{
	"general.architecture": "STRING", "general.type": "STRING", "general.name": "STRING", "general.basename": "STRING", "general.finetune": "STRING",
	"general.size_label": "STRING", "general.license": "STRING", "general.quantization_version": "UINT32", "general.file_type": "UINT32",
	"general.alignment": "UINT32", "general.tags": "ARRAY STRING", "general.languages": "ARRAY STRING",

	"block_count": "UINT32", "context_length": "UINT32", "embedding_length": "UINT32", "feed_forward_length": "UINT32 ARRAY",
	"leading_dense_block_count": "UINT32", "vocab_size": "UINT32",
	"expert_count": "UINT32", "expert_used_count": "UINT32", "expert_shared_count": "UINT32", "expert_feed_forward_length": "UINT32",
	"expert_shared_feed_forward_length": "UINT32", "expert_weights_scale": "FLOAT32", "expert_weights_norm": "BOOL",
	"expert_gating_func": "UINT32", "expert_group_count": "UINT32", "expert_group_used_count": "UINT32", "nextn_predict_layers": "UINT32",
	"attention.head_count": "UINT32 ARRAY", "attention.head_count_kv": "UINT32 ARRAY", "attention.key_length": "UINT32", "attention.value_length": "UINT32",
	"attention.layer_norm_epsilon": "FLOAT32", "attention.layer_norm_rms_epsilon": "FLOAT32", "attention.q_lora_rank": "UINT32",
	"attention.kv_lora_rank": "UINT32", "attention.key_length_mla": "UINT32", "attention.value_length_mla": "UINT32",
	"attention.sliding_window": "UINT32 ARRAY", "attention.scale": "FLOAT32",
	"rope.dimension_count": "UINT32 ARRAY", "rope.freq_base": "FLOAT32", "rope.scaling.type": "STRING", "rope.scaling.factor": "FLOAT32",
	"rope.scaling.original_context_length": "UINT32", "rope.scaling.finetuned": "BOOL", "rope.scaling.yarn_log_multiplier": "FLOAT32",

	"tokenizer.ggml.model": "STRING", "tokenizer.ggml.pre": "STRING", "tokenizer.ggml.tokens": "ARRAY STRING", "tokenizer.ggml.merges": "ARRAY STRING",
	"tokenizer.ggml.token_type": "ARRAY INT32", "tokenizer.ggml.scores": "ARRAY FLOAT32 INT32", "tokenizer.chat_template": "STRING",
	"tokenizer.ggml.bos_token_id": "UINT32", "tokenizer.ggml.eos_token_id": "UINT32", "tokenizer.ggml.eot_token_id": "UINT32",
	"tokenizer.ggml.unknown_token_id": "UINT32", "tokenizer.ggml.padding_token_id": "UINT32", "tokenizer.ggml.add_bos_token": "BOOL",
	"tokenizer.ggml.add_eos_token": "BOOL", "tokenizer.ggml.add_space_prefix": "BOOL",

	"quantize.imatrix.file": "STRING", "quantize.imatrix.dataset": "STRING", "quantize.imatrix.entries_count": "INT32 UINT32", "quantize.imatrix.chunks_count": "INT32 UINT32",
	"split.no": "UINT16", "split.count": "UINT16", "split.tensors.count": "INT32",
}

// checkMetadata asks whether standard keys have the types that loaders read them as, and whether a model's parameters
// lie under its architecture's name.
func checkMetadata(_ context.Context, s *Subject) Result {
	md := s.Source.Metadata()
	r := NewResult(Pass, "")
	arch, _ := md.Architecture()
	known := 0
	for key, v := range md.All() {
		want, ok := keyTypes[key]
		if !ok {
			want, ok = keyTypes[strings.TrimPrefix(key, arch+".")]
			ok = ok && strings.HasPrefix(key, arch+".")
		}
		if !ok {
			continue
		}
		known++
		t, elem, _ := gguf.TypeOf(v)
		types := strings.Fields(want)
		fits := slices.Contains(types, t.String())
		if fits && t == gguf.ArrayType && len(types) > 1 && types[0] == "ARRAY" {
			fits = slices.Contains(types[1:], elem.String())
		}
		if !fits {
			// Loaders take any integer for an integer, but no text for a number.
			warn := isInteger(t) && strings.Contains(want, "INT")
			r.Find(Problem{Expert: -1, warn: warn, Damage: "metadata-type", Message: fmt.Sprintf("key %s is %s, its type is %s", key, describe(t, elem), want)})
		}
	}
	s.checkShards(&r)
	r.Figure = Number(known)
	r.summarize(fmt.Sprintf("%d of %d keys are standard ones and have their types", known, md.Len()))
	return r
}

func describe(t, elem gguf.ValueType) string {
	if t == gguf.ArrayType {
		return "ARRAY " + elem.String()
	}
	return t.String()
}

func isInteger(t gguf.ValueType) bool {
	switch t {
	case gguf.Uint8, gguf.Int8, gguf.Uint16, gguf.Int16, gguf.Uint32, gguf.Int32, gguf.Uint64, gguf.Int64:
		return true
	}
	return false
}

// checkShards asks whether the shards of a set repeat nothing otherwise than the first has it. That they are complete, and
// count their tensors rightly, was asked when the set was opened.
func (s *Subject) checkShards(r *Result) {
	f, ok := s.Source.(*gguf.File)
	if !ok || len(f.Shards()) < 2 {
		return
	}
	for i, sh := range f.Shards() {
		one, err := gguf.OpenShard(sh.Path)
		if err != nil {
			r.Find(Problem{Expert: -1, Damage: "shard", Message: err.Error()})
			continue
		}
		for key, v := range one.Metadata().All() {
			if i == 0 || strings.HasPrefix(key, "split.") {
				continue
			}
			first, ok := f.Metadata().Get(key)
			if ok && fmt.Sprint(first) != fmt.Sprint(v) {
				r.Find(Problem{Expert: -1, Damage: "shard", Message: fmt.Sprintf("%s: key %s is %.40v, the first shard has %.40v: shards of different sets", sh.Path, key, v, first)})
			}
		}
		one.Close()
	}
}
