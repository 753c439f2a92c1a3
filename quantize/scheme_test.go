package quantize

import (
	"slices"
	"testing"

	"github.com/moeconv/moeconv/gguf"
)

func TestParseScheme(t *testing.T) {
	for name, want := range map[string]string{"q4_k_m": "Q4_K_M", "Q4_K": "Q4_K_M", "q3_k": "Q3_K_M", "Q5_k": "Q5_K_M", "mxfp4_moe": "MXFP4_MOE", "Copy": "COPY", "bf16": "BF16", "15": "Q4_K_M", "0": "F32", "38": "MXFP4_MOE"} {
		if s, err := ParseScheme(name); err != nil || s.Name != want {
			t.Errorf("%s: %v, %v; want %s", name, s, err, want)
		}
	}
	for _, name := range []string{"", "Q4", "NVFP4", "Q4_K_M ", "4", "39", "15.gguf", "-1", "+15"} {
		if s, err := ParseScheme(name); err == nil {
			t.Errorf("%q: %v, want an error", name, s)
		}
	}
}

// The table of reference/quantization-policy.md, part B.
func TestSchemes(t *testing.T) {
	types := map[uint32]gguf.Type{0: gguf.F32, 1: gguf.F16, 32: gguf.BF16, 2: gguf.Q4_0, 3: gguf.Q4_1, 8: gguf.Q5_0, 9: gguf.Q5_1, 7: gguf.Q8_0,
		10: gguf.Q2_K, 21: gguf.Q2_K, 11: gguf.Q3_K, 12: gguf.Q3_K, 13: gguf.Q3_K, 14: gguf.Q4_K, 15: gguf.Q4_K, 16: gguf.Q5_K, 17: gguf.Q5_K, 18: gguf.Q6_K,
		19: gguf.IQ2_XXS, 20: gguf.IQ2_XS, 28: gguf.IQ2_XS, 29: gguf.IQ2_S, 22: gguf.IQ3_S, 23: gguf.IQ3_XXS, 26: gguf.IQ3_S, 27: gguf.IQ3_S,
		24: gguf.IQ1_S, 31: gguf.IQ1_M, 25: gguf.IQ4_NL, 30: gguf.IQ4_XS, 36: gguf.TQ1_0, 37: gguf.TQ2_0, 38: gguf.MXFP4, 40: gguf.Q1_0, 41: gguf.Q2_0}
	var needs []string
	for _, s := range Schemes() {
		if s.Copy {
			continue
		}
		if want, ok := types[s.FileType]; !ok || s.Base != want {
			t.Errorf("%s: file type %d, base %v; want %v", s, s.FileType, s.Base, want)
		}
		delete(types, s.FileType)
		if s.NeedsImportance {
			needs = append(needs, s.Name)
		}
	}
	if len(types) > 0 {
		t.Errorf("no scheme for the file types %v", types)
	}
	slices.Sort(needs)
	want := []string{"IQ1_M", "IQ1_S", "IQ2_M", "IQ2_S", "IQ2_XS", "IQ2_XXS", "IQ3_XS", "IQ3_XXS", "Q2_K_S"}
	if !slices.Equal(needs, want) {
		t.Errorf("schemes that need importance: %v, want %v", needs, want)
	}
}

func TestParseOverride(t *testing.T) {
	o, err := ParseOverride(`blk\.(?P<a>1)=.*ffn_down=q6_k`)
	if err != nil || o.Type != gguf.Q6_K || o.Pattern != `blk\.(?P<a>1)=.*ffn_down` {
		t.Errorf("%+v, %v", o, err)
	}
	for _, s := range []string{"", "attn_v", "=q8_0", "attn_v=", "attn_v=q9", "(=q8_0", "a=Q4_2"} {
		if o, err := ParseOverride(s); err == nil {
			t.Errorf("%q: %+v, want an error", s, o)
		}
	}
}

// glm5-next is younger than the library that made testdata/types.json; this is what the reference's source says.
func TestGLM5Next(t *testing.T) {
	info := func(name string) gguf.TensorInfo {
		return gguf.TensorInfo{Name: name, Type: gguf.BF16, Shape: gguf.Shape{256, 4}}
	}
	ts := []gguf.TensorInfo{info("blk.0.attn_q_a.weight"), info("blk.0.attn_q_b.weight"), info("blk.0.nextn.eh_proj.weight"),
		info("blk.0.ssm_f_a.weight"), info("blk.0.attn_k_b.weight"), info("blk.0.hc_attn.weight"), info("blk.0.ffn_up.weight"), info("output.weight")}
	want := map[string][]gguf.Type{
		"IQ4_XS": {gguf.Q8_0, gguf.Q8_0, gguf.Q8_0, gguf.BF16, gguf.BF16, gguf.BF16, gguf.IQ4_XS, gguf.Q6_K},
		"F16":    {gguf.F16, gguf.F16, gguf.F16, gguf.BF16, gguf.BF16, gguf.BF16, gguf.F16, gguf.F16},
	}
	for scheme, types := range want {
		a, err := Assign(keys("glm5-next", map[string]uint32{"block_count": 1}), ts, mustScheme(t, scheme), Options{})
		if err != nil {
			t.Fatal(err)
		}
		for k, i := range a.Order {
			if a.Types[k] != types[i] {
				t.Errorf("%s: %s is %v, want %v", scheme, ts[i].Name, a.Types[k], types[i])
			}
		}
	}
}

func TestOrder(t *testing.T) {
	in := []string{"blk.10.a", "blk.2.b", "output.weight", "blk.2.a", "token_embd.weight", "blk.x", "output_norm.weight", "blk.", "blk.2", "v.blk.1.a"}
	want := []string{"blk.", "blk.x", "output.weight", "output_norm.weight", "token_embd.weight", "v.blk.1.a", "blk.2", "blk.2.a", "blk.2.b", "blk.10.a"}
	var ts []gguf.TensorInfo
	for _, n := range in {
		ts = append(ts, gguf.TensorInfo{Name: n})
	}
	for k, i := range Order(ts) {
		if in[i] != want[k] {
			t.Errorf("position %d: %s, want %s", k, in[i], want[k])
		}
	}
}
