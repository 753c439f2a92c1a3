package quantize

import (
	"strings"

	"github.com/moeconv/moeconv/gguf"
)

// Category is the part a tensor plays in the choice of types. It is coarser than names.Role,
// and it follows the reference's tests on names to the letter: the routed experts' ffn_down_exps
// and the shared experts' ffn_down_shexp are both Down.
type Category uint8

// The categories.
const (
	Other Category = iota
	Output
	TokenEmbedding
	AttnQ
	AttnK
	AttnV
	AttnQKV
	AttnKVB
	AttnOutput
	Up
	Gate
	Down
)

// VLike reports whether the category is treated as attention values: V, fused QKV, and MLA's kv_b.
func (c Category) VLike() bool { return c == AttnV || c == AttnQKV || c == AttnKVB }

// categoryParts are searched in order; the first that a name contains decides.
var categoryParts = []struct {
	part     string
	category Category
}{
	{"attn_qkv.weight", AttnQKV},
	{"attn_kv_b.weight", AttnKVB},
	{"attn_v.weight", AttnV},
	{"attn_k.weight", AttnK},
	{"attn_q.weight", AttnQ},
	{"attn_output.weight", AttnOutput},
	{"ffn_up", Up},
	{"ffn_gate", Gate},
	{"ffn_down", Down},
}

const (
	outputName        = "output.weight"
	tokenEmbdName     = "token_embd.weight"
	layerEmbdName     = "per_layer_token_embd.weight"
	architectureGLM5N = "glm5-next"
)

func isTokenEmbedding(name string) bool { return name == tokenEmbdName || name == layerEmbdName }

// CategoryOf is the category of a tensor by its name.
func CategoryOf(name string) Category {
	if name == outputName {
		return Output
	}
	if isTokenEmbedding(name) {
		return TokenEmbedding
	}
	for _, p := range categoryParts {
		if strings.Contains(name, p.part) {
			return p.category
		}
	}
	return Other
}

// keptParts are parts of the names of tensors that keep their type in every scheme: too small to
// be worth it, too sensitive, or read by code that knows no quantized form.
var keptParts = []string{
	"_norm.weight",
	"ffn_gate_inp.weight", "ffn_gate_tid2eid.weight",
	"altup", "laurel", "per_layer_model_proj",
	"ssm_conv1d", "shortconv.conv.weight",
	"indexer.k_proj.weight", "indexer.q_proj.weight",
	"time_mix_first.weight", "time_mix_w0.weight", "time_mix_w1.weight", "time_mix_w2.weight",
	"time_mix_v0.weight", "time_mix_v1.weight", "time_mix_v2.weight",
	"time_mix_a0.weight", "time_mix_a1.weight", "time_mix_a2.weight",
	"time_mix_g1.weight", "time_mix_g2.weight",
	"time_mix_decay_w1.weight", "time_mix_decay_w2.weight", "time_mix_lerp_fused.weight",
	"attn_rel_b.weight",
	".position_embd", "sam.pos_embd", "sam.neck.", "sam.net_", ".rel_pos", ".patch_embd", ".patch_merger",
	"a.rvq.codebook", "mm.a.code_embd",
}

// keptPartsGLM5N are kept in glm5-next besides.
var keptPartsGLM5N = []string{
	"hc_", "indexer.attn_q_b", "indexer.attn_k", "indexer.proj", "indexer_compressor_gate", "indexer_compressor_ape",
	"ssm_f_a.weight", "ssm_f_b.weight", "ssm_g_a.weight", "ssm_g_b.weight", "ssm_beta.weight",
	"attn_kv_a_mqa.weight", "attn_k_b.weight", "attn_v_b.weight",
}

// quantizable reports whether a scheme other than COPY may change the tensor's type.
func quantizable(arch string, t gguf.TensorInfo, leaveOutput bool) bool {
	if dims(t.Shape) < 2 || !endsInWeight(t.Name) {
		return false
	}
	if t.Name == "position_embd.weight" || t.Name == "token_types.weight" || leaveOutput && t.Name == outputName {
		return false
	}
	if arch == architectureGLM5N && containsAny(t.Name, keptPartsGLM5N) {
		return false
	}
	return !containsAny(t.Name, keptParts)
}

// endsInWeight also holds for any name of five bytes: the reference compares the position of "weight" (none: -1)
// with the length less six.
func endsInWeight(name string) bool { return strings.LastIndex(name, "weight") == len(name)-6 }

// dims is the number of dimensions without trailing ones, at least 1.
func dims(s gguf.Shape) int {
	for i := len(s) - 1; i > 0; i-- {
		if s[i] > 1 {
			return i + 1
		}
	}
	return 1
}

func containsAny(s string, parts []string) bool {
	for _, p := range parts {
		if strings.Contains(s, p) {
			return true
		}
	}
	return false
}
