// Package names is the dictionary of GGUF's standard tensor names: what a tensor
// is for, from its name alone. It knows no architecture and no bytes.
package names

import (
	"fmt"
	"strconv"
	"strings"
)

// Class groups roles by the part they play in a mixture-of-experts model.
type Class uint8

// The classes; their String is what inspect prints as role.
const (
	ClassOther Class = iota
	Embedding
	Output
	Norm
	Attention
	Router
	RoutedExpert
	SharedExpert
	FeedForward
	Rope
)

var classNames = [...]string{"other", "embedding", "output", "norm", "attention", "router", "routed expert", "shared expert", "feed forward", "rope"}

func (c Class) String() string { return classNames[c] }

// Role is a standard name without block number and suffix: attn_q, ffn_gate_exps.
type Role string

// The roles that code refers to. Any other name is a Role too, of ClassOther.
const (
	TokenEmbd     Role = "token_embd"
	OutputNorm    Role = "output_norm"
	OutputWeight  Role = "output"
	RopeFreqs     Role = "rope_freqs"
	AttnNorm      Role = "attn_norm"
	AttnQ         Role = "attn_q"
	AttnK         Role = "attn_k"
	AttnV         Role = "attn_v"
	AttnOutput    Role = "attn_output"
	FFNNorm       Role = "ffn_norm"
	FFNGate       Role = "ffn_gate"
	FFNUp         Role = "ffn_up"
	FFNDown       Role = "ffn_down"
	FFNGateInp    Role = "ffn_gate_inp"
	FFNGateExps   Role = "ffn_gate_exps"
	FFNUpExps     Role = "ffn_up_exps"
	FFNDownExps   Role = "ffn_down_exps"
	FFNGateUpExps Role = "ffn_gate_up_exps"
	FFNGateShexp  Role = "ffn_gate_shexp"
	FFNUpShexp    Role = "ffn_up_shexp"
	FFNDownShexp  Role = "ffn_down_shexp"
)

// Name is a tensor's name taken apart: "blk.3.ffn_down_exps.weight" is block 3, role ffn_down_exps, suffix weight.
type Name struct {
	Role   Role
	Block  int    // -1 outside of blocks
	Suffix string // weight, bias, scale, input_scale or empty
}

// Parse takes a tensor name apart. It never fails: what it does not know is a Role of ClassOther.
func Parse(name string) Name {
	n := Name{Block: -1}
	rest := name
	if after, ok := strings.CutPrefix(rest, "blk."); ok {
		if num, tail, ok := strings.Cut(after, "."); ok {
			if b, err := strconv.Atoi(num); err == nil && b >= 0 && num == strconv.Itoa(b) {
				n.Block, rest = b, tail
			}
		}
	}
	for _, suffix := range []string{"weight", "bias", "scale", "input_scale"} {
		if r, ok := strings.CutSuffix(rest, "."+suffix); ok {
			n.Suffix, rest = suffix, r
			break
		}
	}
	n.Role = Role(rest)
	return n
}

// String is the tensor's name; Parse's inverse.
func (n Name) String() string {
	s := string(n.Role)
	if n.Block >= 0 {
		s = fmt.Sprintf("blk.%d.%s", n.Block, s)
	}
	if n.Suffix != "" {
		s += "." + n.Suffix
	}
	return s
}

// In is the role's tensor in a block, with suffix "weight".
func (r Role) In(block int) string { return Name{r, block, "weight"}.String() }

// Weight is the role's tensor outside of blocks, with suffix "weight".
func (r Role) Weight() string { return Name{r, -1, "weight"}.String() }

// Class is the part the role plays in the model.
func (r Role) Class() Class {
	s := string(r)
	switch {
	case r == TokenEmbd || s == "per_layer_token_embd" || s == "position_embd" || s == "token_types":
		return Embedding
	case r == OutputWeight:
		return Output
	case strings.HasPrefix(s, "rope_"):
		return Rope
	case strings.HasSuffix(s, "_norm") || strings.HasSuffix(s, "norm_2") || s == "ffn_norm_exps":
		return Norm
	case r == FFNGateInp || s == "exp_probs_b" || s == "exp_probs_b_vl" || s == "ffn_gate_tid2eid":
		return Router
	case strings.HasSuffix(s, "_exps") || strings.HasSuffix(s, "_chexps"):
		return RoutedExpert
	case strings.HasSuffix(s, "_shexp"):
		return SharedExpert
	case strings.HasPrefix(s, "attn_") || strings.HasPrefix(s, "indexer."):
		return Attention
	case strings.HasPrefix(s, "ffn_"):
		return FeedForward
	}
	return ClassOther
}

// ClassOf is the class of a tensor by its name.
func ClassOf(tensor string) Class { return Parse(tensor).Role.Class() }
