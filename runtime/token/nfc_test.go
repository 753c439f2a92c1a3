package token

import (
	"slices"
	"testing"

	"github.com/moeconv/moeconv/convert/vocab"
	"github.com/moeconv/moeconv/testdata"
)

// Vocabularies of Qwen's kind compose characters, others do not, and ASCII and bytes that are not UTF-8 stay as they are.
func TestCompose(t *testing.T) {
	for _, ck := range testdata.Checkpoints() {
		if !ck.Micro || ck.Family != "qwen2" && ck.Family != "deepseek-v3" {
			continue
		}
		tok := newTokenizer(t, metadata(t, nil, ck.Dir, vocab.Options{Prefer: []string{"qwen2", "deepseek-v3"}}))
		got, want := idsOf(t, tok, "cafe\u0301", Options{}), idsOf(t, tok, "caf\u00e9", Options{})
		if slices.Equal(got, want) != (ck.Family == "qwen2") {
			t.Errorf("%s: %v and %v", ck.Family, got, want)
		}
	}
	for text, want := range map[string]string{"": "", "plain": "plain", "e\u0301\xff\xcc": "\u00e9\xff\xcc", "\u212b\u1100\u1161": "\u00c5\uac00"} {
		if got := compose(text); got != want {
			t.Errorf("compose(%q) = %q, want %q", text, got, want)
		}
	}
}
