package convert

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/testdata"
)

// microFiles is a micro checkpoint with changed config fields ("-" removes one).
func microFiles(t *testing.T, family string, changes map[string]any) fstest.MapFS {
	t.Helper()
	out := fstest.MapFS{}
	for _, ck := range testdata.Checkpoints() {
		if !ck.Micro || ck.Family != family {
			continue
		}
		files, err := os.ReadDir(ck.Dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			b, err := fs.ReadFile(os.DirFS(ck.Dir), f.Name())
			if err != nil {
				t.Fatal(err)
			}
			out[f.Name()] = &fstest.MapFile{Data: b}
		}
	}
	config := map[string]any{}
	d := json.NewDecoder(bytes.NewReader(out["config.json"].Data))
	d.UseNumber()
	if err := d.Decode(&config); err != nil {
		t.Fatal(err)
	}
	for k, v := range changes {
		if config[k] = v; v == "-" {
			delete(config, k)
		}
	}
	out["config.json"] = &fstest.MapFile{Data: mustJSON(t, config)}
	return out
}

// drop removes the tensors whose names contain part from the only weight file.
func drop(t *testing.T, files fstest.MapFS, part string) {
	t.Helper()
	const name = "model.safetensors"
	raw := files[name].Data
	size := int(raw[0]) | int(raw[1])<<8 | int(raw[2])<<16
	var header map[string]json.RawMessage
	if err := json.Unmarshal(raw[8:8+size], &header); err != nil {
		t.Fatal(err)
	}
	infos, data := map[string]tensorHeader{}, map[string][]byte{}
	for tensor, text := range header {
		if tensor == "__metadata__" || strings.Contains(tensor, part) {
			continue
		}
		var info tensorHeader
		if err := json.Unmarshal(text, &info); err != nil {
			t.Fatal(err)
		}
		infos[tensor], data[tensor] = info, raw[8+size:][info.Offsets[0]:info.Offsets[1]]
	}
	files[name] = &fstest.MapFile{Data: safetensorsFile(t, infos, data)}
}

// What a checkpoint lacks or has too much of is found on its headers, and so is what llama.cpp would silently do otherwise.
func TestMicroContradictions(t *testing.T) {
	for _, tt := range []struct {
		family      string
		changes     map[string]any
		drop        string // part of tensors' names
		want, hint  string // of the error; none where it converts
		unsupported bool
	}{
		{family: "glm4moe", changes: map[string]any{"num_nextn_predict_layers": 0}, want: "layer 2 is beyond num_hidden_layers 2", hint: "num_nextn_predict_layers"},
		{family: "glm4moe", changes: map[string]any{"num_nextn_predict_layers": 2}, want: "2 of multi-token prediction follow", hint: "num_nextn_predict_layers of config.json (mtp_num_hidden_layers for Qwen) to 1"},
		{family: "glm4moe", changes: map[string]any{"first_k_dense_replace": 2}, want: `"model.layers.1.mlp.gate_proj.weight" is missing`},
		{family: "glm4moe", changes: map[string]any{"n_group": 3, "topk_group": 1}, want: "n_group 3"},
		{family: "qwen3next-interval", drop: "mtp."},
		{family: "qwen3next-interval", drop: "mtp.", changes: map[string]any{"mtp_num_hidden_layers": 1}, want: "1 of multi-token prediction follow", hint: "mtp_num_hidden_layers for Qwen) to 0"},
		{family: "qwen3next-interval", drop: "mtp.fc", want: `"model.layers.3.eh_proj.weight" is missing`},
		{family: "qwen3next-interval", changes: map[string]any{"norm_topk_prob": false}, want: "norm_topk_prob", unsupported: true},
		{family: "qwen2", changes: map[string]any{"tie_word_embeddings": "-"}, want: `"lm_head.weight" is missing`},
		{family: "dots1", changes: map[string]any{"tie_word_embeddings": true}, drop: "lm_head", want: "llama.cpp needs an output of its own", unsupported: true},
		{family: "dots1", drop: "lm_head", want: `"lm_head.weight" is missing`, hint: "incomplete"},
		{family: "qwen2", changes: map[string]any{"use_sliding_window": true}, want: "use_sliding_window", unsupported: true},
		{family: "qwen2", drop: "_proj.bias"},
		{family: "qwen3moe-fused", drop: "layers.1.mlp.experts.down_proj", want: "blk.1.ffn_down_exps.weight"},
		{family: "qwen3moe", changes: map[string]any{"norm_topk_prob": "-"}, want: "norm_topk_prob is not true", unsupported: true},
		{family: "qwen3moe", changes: map[string]any{"mlp_only_layers": []int{1}}, want: "mlp_only_layers", unsupported: true},
		{family: "qwen2moe", changes: map[string]any{"decoder_sparse_step": 2}, want: "decoder_sparse_step", unsupported: true},
		{family: "granitemoe-shared", drop: "shared_mlp.output", want: "shared_mlp.output_linear.weight"},
		{family: "granitemoe", changes: map[string]any{"logits_scaling": 0}, want: "logits_scaling must be positive"},
		{family: "dots1", changes: map[string]any{"scoring_func": "-"}, want: "write sigmoid into it"},
		{family: "dots1", changes: map[string]any{"num_key_value_heads": 2}, want: "grouped queries", unsupported: true},
		{family: "ernie4_5-moe", changes: map[string]any{"moe_layer_end_index": 0}, want: "moe_layer_end_index", unsupported: true},
		{family: "ernie4_5-moe", changes: map[string]any{"intermediate_size": 48}, want: `"model.layers.0.mlp.gate_proj.weight" is [96 48], expected [48 48]`},
		{family: "minimax-m2", changes: map[string]any{"attn_type_list": []int{1, 0}}, want: "attn_type_list: layer 1 is 0", unsupported: true},
		{family: "olmoe", changes: map[string]any{"clip_qkv": 8.0}, want: "clip_qkv", unsupported: true},
	} {
		files := microFiles(t, tt.family, tt.changes)
		if tt.drop != "" {
			drop(t, files, tt.drop)
		}
		p, err := NewPlan(files, Options{Name: "micro", OutType: "auto", Pre: "qwen2"})
		if err == nil {
			p.Close()
		}
		if tt.want == "" {
			if err != nil {
				t.Errorf("%s %v without %q: %v", tt.family, tt.changes, tt.drop, err)
			}
			continue
		}
		var unsupported *gguf.UnsupportedError
		if err == nil || !strings.Contains(err.Error(), tt.want) || errors.As(err, &unsupported) != tt.unsupported {
			t.Errorf("%s %v without %q: %v, want %s", tt.family, tt.changes, tt.drop, err, tt.want)
			continue
		}
		var hint interface{ Hint() string }
		if tt.hint != "" && (!errors.As(err, &hint) || !strings.Contains(hint.Hint(), tt.hint)) {
			t.Errorf("%s %v: %v: no hint that says %s", tt.family, tt.changes, err, tt.hint)
		}
	}
}
