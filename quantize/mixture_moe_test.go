package quantize

import (
	"fmt"
	"slices"
	"testing"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/gguf/names"
)

// Over all schemes: routed experts have the base type or the step above it, and nothing else has fewer bits than by Llama.
func TestMoEMixture(t *testing.T) {
	for _, model := range []string{"deepseek-v3.1", "qwen3.5-397b-a17b"} {
		src := inventoried(t, model)
		for _, s := range Schemes() {
			if s.Copy || !s.Base.Quantized() {
				continue
			}
			theirs, err := Assign(src.md, src.ts, s, Options{})
			if err != nil {
				t.Fatal(err)
			}
			ours, err := Assign(src.md, src.ts, s, Options{Mix: MoE})
			if err != nil {
				t.Fatal(err)
			}
			for k, i := range ours.Order {
				name, got, llama := src.ts[i].Name, ours.Types[k], theirs.Types[k]
				if names.ClassOf(name) != names.RoutedExpert {
					if got.BitsPerWeight() < llama.BitsPerWeight() {
						t.Errorf("%s: %v: %s is %v, by Llama %v", model, s, name, got, llama)
					}
					continue
				}
				want := []gguf.Type{s.Base, stepUp[s.FileType]}
				if s.Name == "IQ3_XS" {
					want = append(want, gguf.IQ3_XXS)
				}
				if !slices.Contains(want, got) {
					t.Errorf("%s: %v: %s is %v, want one of %v", model, s, name, got, want)
				}
			}
		}
	}
}

// The table of the mixture, row by row.
func TestMoETable(t *testing.T) {
	for _, c := range []struct {
		scheme, tensor string
		want           gguf.Type
	}{
		{"Q2_K", "blk.5.ffn_gate_exps.weight", gguf.Q2_K},
		{"Q2_K", "blk.5.ffn_down_exps.weight", gguf.Q2_K},
		{"Q2_K", "blk.5.ffn_down_shexp.weight", gguf.Q6_K},
		{"Q2_K", "blk.5.attn_kv_a_mqa.weight", gguf.Q6_K},
		{"Q2_K", "blk.0.ffn_up.weight", gguf.Q6_K},
		{"Q2_K", "output.weight", gguf.Q6_K},
		{"Q2_K", "token_embd.weight", gguf.Q4_K},
		{"Q4_K_M", "blk.0.ffn_down_exps.weight", gguf.Q5_K},  // in the first eighth
		{"Q4_K_M", "blk.10.ffn_down_exps.weight", gguf.Q4_K}, // 61/8 = 7: 9, 12 ... get more
		{"Q4_K_M", "blk.12.ffn_down_exps.weight", gguf.Q5_K},
		{"Q4_K_M", "blk.12.ffn_up_exps.weight", gguf.Q4_K},
		{"Q4_K_M", "blk.12.attn_q_a.weight", gguf.Q8_0},
		{"Q4_K_M", "output.weight", gguf.Q6_K},
		{"Q4_K_M", "token_embd.weight", gguf.Q6_K},
		{"Q3_K_L", "blk.10.ffn_down_exps.weight", gguf.Q4_K},
		{"Q6_K", "blk.10.ffn_down_exps.weight", gguf.Q6_K},
		{"Q6_K", "blk.10.attn_q_a.weight", gguf.Q8_0},
		{"Q6_K", "token_embd.weight", gguf.Q8_0},
		{"Q8_0", "blk.10.attn_q_a.weight", gguf.Q8_0},
		{"MXFP4_MOE", "blk.10.ffn_up_exps.weight", gguf.MXFP4},
		{"MXFP4_MOE", "blk.10.attn_k_b.weight", gguf.Q8_0}, // three-dimensional, but no expert
		{"MXFP4_MOE", "token_embd.weight", gguf.Q8_0},
	} {
		md := keys("deepseek2", map[string]uint32{"block_count": 61, "expert_count": 256})
		shape := gguf.Shape{256, 4, 2}
		if names.Parse(c.tensor).Block < 0 {
			shape = shape[:2]
		}
		ts := []gguf.TensorInfo{{Name: c.tensor, Type: gguf.BF16, Shape: shape}}
		if c.tensor != "output.weight" {
			ts = append(ts, gguf.TensorInfo{Name: "output.weight", Type: gguf.BF16, Shape: gguf.Shape{256, 4}})
		}
		a, err := Assign(md, ts, mustScheme(t, c.scheme), Options{Mix: MoE})
		if err != nil {
			t.Fatal(err)
		}
		if got := a.Types[slices.Index(a.Order, 0)]; got != c.want {
			t.Errorf("%s: %s is %v, want %v", c.scheme, c.tensor, got, c.want)
		}
	}
}

// A dense model is Llama's.
func TestMoEDense(t *testing.T) {
	src := inventoried(t, "meta-llama-3.1-70b-instruct")
	s := mustScheme(t, "Q4_K_M")
	a, err := Assign(src.md, src.ts, s, Options{})
	if err != nil {
		t.Fatal(err)
	}
	b, err := Assign(src.md, src.ts, s, Options{Mix: MoE})
	if err != nil || fmt.Sprint(a.Types) != fmt.Sprint(b.Types) {
		t.Errorf("types differ, %v", err)
	}
}
