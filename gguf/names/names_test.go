package names

import "testing"

// The names are llama.cpp's (src/llama-arch.cpp).
func TestParse(t *testing.T) {
	for _, c := range []struct {
		name  string
		want  Name
		class Class
	}{
		{"token_embd.weight", Name{TokenEmbd, -1, "weight"}, Embedding},
		{"output.weight", Name{OutputWeight, -1, "weight"}, Output},
		{"output_norm.weight", Name{OutputNorm, -1, "weight"}, Norm},
		{"rope_freqs.weight", Name{RopeFreqs, -1, "weight"}, Rope},
		{"rope_factors_long.weight", Name{"rope_factors_long", -1, "weight"}, Rope},
		{"blk.0.attn_q.weight", Name{AttnQ, 0, "weight"}, Attention},
		{"blk.12.attn_q.bias", Name{AttnQ, 12, "bias"}, Attention},
		{"blk.1.attn_q_norm.weight", Name{"attn_q_norm", 1, "weight"}, Norm},
		{"blk.1.attn_norm_2.weight", Name{"attn_norm_2", 1, "weight"}, Norm},
		{"blk.1.attn_sinks.weight", Name{"attn_sinks", 1, "weight"}, Attention},
		{"blk.3.ffn_gate_inp.weight", Name{FFNGateInp, 3, "weight"}, Router},
		{"blk.3.exp_probs_b.bias", Name{"exp_probs_b", 3, "bias"}, Router},
		{"blk.3.ffn_gate_exps.weight", Name{FFNGateExps, 3, "weight"}, RoutedExpert},
		{"blk.3.ffn_gate_up_exps.weight", Name{FFNGateUpExps, 3, "weight"}, RoutedExpert},
		{"blk.3.ffn_down_exps.bias", Name{FFNDownExps, 3, "bias"}, RoutedExpert},
		{"blk.3.ffn_down_exps.scale", Name{FFNDownExps, 3, "scale"}, RoutedExpert},
		{"blk.3.ffn_down_exps.input_scale", Name{FFNDownExps, 3, "input_scale"}, RoutedExpert},
		{"blk.3.ffn_up_chexps.weight", Name{"ffn_up_chexps", 3, "weight"}, RoutedExpert},
		{"blk.3.ffn_norm_exps.weight", Name{"ffn_norm_exps", 3, "weight"}, Norm},
		{"blk.3.ffn_up_shexp.weight", Name{FFNUpShexp, 3, "weight"}, SharedExpert},
		{"blk.3.ffn_gate_inp_shexp.weight", Name{"ffn_gate_inp_shexp", 3, "weight"}, SharedExpert},
		{"blk.3.ffn_down.weight", Name{FFNDown, 3, "weight"}, FeedForward},
		{"blk.3.ssm_conv1d.weight", Name{"ssm_conv1d", 3, "weight"}, ClassOther},
		// Not block numbers as GGUF writes them.
		{"blk.03.ffn_down.weight", Name{"blk.03.ffn_down", -1, "weight"}, ClassOther},
		{"blk.-1.ffn_down.weight", Name{"blk.-1.ffn_down", -1, "weight"}, ClassOther},
		{"blk.", Name{"blk.", -1, ""}, ClassOther},
		{"", Name{"", -1, ""}, ClassOther},
	} {
		got := Parse(c.name)
		if got != c.want {
			t.Errorf("Parse(%q) = %+v, want %+v", c.name, got, c.want)
		}
		if got.String() != c.name {
			t.Errorf("Parse(%q).String() = %q", c.name, got.String())
		}
		if class := ClassOf(c.name); class != c.class {
			t.Errorf("%q is %v, want %v", c.name, class, c.class)
		}
	}
}

func TestRoleNames(t *testing.T) {
	if got := FFNUpExps.In(7); got != "blk.7.ffn_up_exps.weight" {
		t.Errorf("In: %q", got)
	}
	if got := OutputNorm.Weight(); got != "output_norm.weight" {
		t.Errorf("Weight: %q", got)
	}
}
