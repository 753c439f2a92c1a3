package vocab

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/moeconv/moeconv/gguf/pretoken"
)

// addTokens makes the list of tokens and their types. size 0 means as many as there are.
func (v *Vocab) addTokens(f *files, t *tokenizer, size int) (*addedSet, error) {
	if size < 0 || size > maxVocabSize {
		return nil, fmt.Errorf("config.json: vocab_size %d is not between 1 and %d", size, maxVocabSize)
	}
	byID := make(map[int64]string, len(t.Model.ids))
	for _, e := range t.Model.sorted() {
		if err := claim(byID, e.ID, e.Content, size); err != nil {
			return nil, err
		}
	}
	added, err := collectAdded(f, t)
	if err != nil {
		return nil, err
	}
	for _, a := range added.list {
		if err := claim(byID, a.ID, a.Content, size); err != nil {
			return nil, err
		}
	}
	if size == 0 {
		size = len(byID)
		for id, tok := range byID {
			if err := checkID(id, tok, size); err != nil {
				return nil, err
			}
		}
	}
	v.tokens = make([]string, size)
	v.types = make([]int32, size)
	for i := range size {
		tok, ok := byID[int64(i)]
		if !ok {
			v.tokens[i], v.types[i] = fmt.Sprintf("[PAD%d]", i), typeUnused
			continue
		}
		v.tokens[i], v.types[i] = tok, typeNormal
		if at, ok := added.at[tok]; ok {
			v.tokens[i], v.types[i] = added.list[at].entry(t.Decoder.Type)
		}
	}
	v.findDoubles()
	return added, nil
}

func claim(byID map[int64]string, id int64, tok string, size int) error {
	if size > 0 || id < 0 {
		if err := checkID(id, tok, size); err != nil {
			return err
		}
	}
	if old, ok := byID[id]; ok && old != tok {
		return fmt.Errorf("tokenizer.json: id %d is used twice: %q and %q", id, old, tok)
	}
	byID[id] = tok
	return nil
}

func checkID(id int64, tok string, size int) error {
	if id < 0 || id >= int64(size) {
		return fmt.Errorf("tokenizer.json: token id %d (%q) is outside of vocab_size %d", id, tok, size)
	}
	return nil
}

// entry is an added token as the list holds it. The reference encodes and decodes tokens that
// are not normalised, which spoils those that are spelled in the byte alphabet.
func (a addedToken) entry(decoder string) (string, int32) {
	text := a.Content
	if !a.Normalized && decoder == "ByteLevel" {
		text = decodeByteLevel(text)
	}
	if a.Special || looksSpecial(text) {
		return text, typeControl
	}
	return strings.ReplaceAll(text, "▁", " "), typeUserDefined
}

// looksSpecial is the reference's rule for tokens that should have been marked as special.
func looksSpecial(s string) bool {
	switch s {
	case "<pad>", "<mask>", "<2mass>", "[@BOS@]":
		return true
	}
	return strings.HasPrefix(s, "<|") && strings.HasSuffix(s, "|>") ||
		strings.HasPrefix(s, "<｜") && strings.HasSuffix(s, "｜>") ||
		strings.HasPrefix(s, "<unused") && strings.HasSuffix(s, ">")
}

// findDoubles warns of texts that occur twice, which loaders do not expect.
func (v *Vocab) findDoubles() {
	seen := make(map[string]int, len(v.tokens))
	for i, tok := range v.tokens {
		if first, ok := seen[tok]; ok {
			v.warn("tokens %d and %d are both %q; llama.cpp does not load such a vocabulary", first, i, tok)
		}
		seen[tok] = i
	}
}

// decodeByteLevel is what a ByteLevel decoder makes of one token: the bytes it spells in the
// byte alphabet, broken ones as U+FFFD; the token itself where it has another character.
func decodeByteLevel(tok string) string {
	raw, ok := pretoken.Unspell(tok)
	if !ok {
		return tok
	}
	var out strings.Builder
	for len(raw) > 0 {
		r, n := utf8.DecodeRuneInString(raw)
		if r == utf8.RuneError && n == 1 {
			for n < len(raw) && !utf8.FullRuneInString(raw[:n]) { // one U+FFFD for as much of a character as is there
				if n++; utf8.FullRuneInString(raw[:n]) {
					n--
					break
				}
			}
		}
		out.WriteRune(r)
		raw = raw[n:]
	}
	return out.String()
}

// truthy is Python's idea of a true JSON value.
func truthy(v any) bool {
	switch v := v.(type) {
	case nil:
		return false
	case bool:
		return v
	case string:
		return v != ""
	case json.Number:
		f, err := v.Float64()
		return err != nil || f != 0
	case []any:
		return len(v) > 0
	case map[string]any:
		return len(v) > 0
	}
	return true
}
