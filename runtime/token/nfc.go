package token

import (
	"slices"

	"golang.org/x/text/unicode/norm"
)

// composing are the pre-tokenizers whose models' tokenizers compose characters (NFC) before they cut text.
var composing = []string{"qwen2", "qwen35", "deepseek-r1-qwen", "olmo"}

// composes reports whether text is composed first, which only the pre-tokenizer's name tells.
func (t *Tokenizer) composes() bool { return slices.Contains(composing, t.pre) }

// compose is text in NFC; text that is so already costs one look at each byte.
func compose(text string) string {
	for i := range len(text) {
		if text[i] >= 0xcc { // the first combining mark is U+0300; what lies below is composed, or stays as it is
			return norm.NFC.String(text)
		}
	}
	return text
}
