package token

import "slices"

// stripping are architectures whose added tokens swallow the white space behind them, which their tokenizer files
// say and GGUF files cannot, and the tokens that do not.
var stripping = map[string][]string{
	"phimoe": {"<unk>", "<s>", "</s>", "<|endoftext|>"},
	"phi3":   {"<unk>", "<s>", "<|endoftext|>"},
}

// stripping is the ids of the tokens that swallow the white space behind them.
func (t *Tokenizer) stripping() map[int32]bool {
	keep, ok := stripping[t.arch]
	if !ok {
		return nil
	}
	out := map[int32]bool{}
	for i, k := range t.kinds {
		if (k == control || k == userDefined) && !slices.Contains(keep, t.texts[i]) {
			out[int32(i)] = true
		}
	}
	return out
}
