package convert

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// variants are checkpoints of other shapes than the fixtures'. testdata/variants.json has the SHA-256 of the files
// the reference converter makes of them; testdata/reference.py says how.
func variants() map[string]*checkpoint {
	half := func(string) string { return "F16" }
	f32 := func(string) string { return "F32" }
	mixed := func(name string) string { // auto: the F32 embedding does not decide, the first half matrix does
		if strings.Contains(name, "lm_head") || strings.Contains(name, "norm") || strings.Contains(name, "embed") {
			return "F32"
		}
		return "BF16"
	}
	return map[string]*checkpoint{
		"odd-sizes": {shards: 3, config: deepseekConfig(map[string]any{
			"hidden_size": 96, "num_attention_heads": 6, "num_key_value_heads": 2, "intermediate_size": 104, "moe_intermediate_size": 40,
			"n_routed_experts": 7, "num_experts_per_tok": 3, "num_hidden_layers": 3,
		})},
		"all-moe-f16-tied": {dtypes: half, shards: 5, omit: []string{"README.md", "generation_config.json"}, config: deepseekConfig(map[string]any{
			"hidden_size": 72, "num_attention_heads": 3, "num_key_value_heads": 3, "head_dim": 24, "first_k_dense_replace": 0, "n_routed_experts": 12,
			"n_shared_experts": 3, "num_hidden_layers": 11, "moe_intermediate_size": 32, "rope_theta": json.Number("1000000.0"), "tie_word_embeddings": true,
			"scoring_func": "-", "torch_dtype": "float16",
		})},
		"dense-three-f32": {dtypes: f32, config: deepseekConfig(map[string]any{
			"first_k_dense_replace": 3, "num_hidden_layers": 4, "num_key_value_heads": nil, "rope_theta": "-", "torch_dtype": "float32",
			"rms_norm_eps": json.Number("0.00001"), "vocab_size": 1500,
		})},
		"mixed-dtypes": {dtypes: mixed, shards: 2, config: deepseekConfig(map[string]any{
			"rope_scaling": "-", "rope_theta": "-", "rope_parameters": map[string]any{"rope_theta": 50000, "rope_type": "default"},
			"n_group": 1, "topk_group": 1, "num_key_value_heads": "-", "moe_intermediate_size": 96, "head_dim": nil, "layer_norm_epsilon": 1e-5,
		}), extra: map[string][]int64{"model.layers.0.self_attn.rotary_emb.inv_freq": {8}}},
		"dense-only": {config: deepseekConfig(map[string]any{"first_k_dense_replace": 9, "vocab_size": 1401, "n_shared_experts": 2})},
	}
}

func TestVariants(t *testing.T) {
	b, err := os.ReadFile(filepath.Join("testdata", "variants.json"))
	if err != nil {
		t.Fatal(err)
	}
	var golden struct {
		Files map[string]map[string]struct {
			Bytes  int64
			SHA256 string
		}
	}
	if err := json.Unmarshal(b, &golden); err != nil {
		t.Fatal(err)
	}
	for name, c := range variants() {
		t.Run(name, func(t *testing.T) {
			fsys := c.build(t)
			for _, ot := range sampleOutTypes() {
				want, ok := golden.Files[name][ot]
				if !ok {
					t.Fatalf("no golden for %s", ot)
				}
				p, err := NewPlan(fsys, Options{Name: name, OutType: ot})
				if err != nil {
					t.Fatal(err)
				}
				checkFile(t, p, want.Bytes, want.SHA256)
				if t.Failed() {
					t.Fatalf("outtype %s differs", ot)
				}
			}
		})
	}
}

// TestWriteVariants writes the variants to the folder that MOECONV_VARIANTS names, for testdata/reference.py.
func TestWriteVariants(t *testing.T) {
	dir := os.Getenv("MOECONV_VARIANTS")
	if dir == "" {
		dir = t.TempDir()
	}
	for name, c := range variants() {
		fsys := c.build(t)
		if err := os.CopyFS(filepath.Join(dir, name), fsys); err != nil {
			t.Fatal(err)
		}
	}
}
