package vocab

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/moeconv/moeconv/gguf/pretoken"
)

// namedTokens are the attributes of a tokenizer that hold a special token.
var namedTokens = []string{"bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"}

// addedSet is the added tokens as transformers ends up with: tokenizer.json's, then those of
// tokenizer_config.json, whose flags win, then special tokens that only have a name.
type addedSet struct {
	list []addedToken
	at   map[string]int
}

func (s *addedSet) add(a addedToken) {
	if i, ok := s.at[a.Content]; ok {
		s.list[i].Special, s.list[i].Normalized = a.Special, a.Normalized
		return
	}
	s.at[a.Content] = len(s.list)
	s.list = append(s.list, a)
}

// collectAdded gathers the added tokens and numbers them as the tokenizers library does: a
// token of the vocabulary keeps its id, the others follow the vocabulary one by one.
func collectAdded(f *files, t *tokenizer) (*addedSet, error) {
	s := &addedSet{at: map[string]int{}}
	for _, a := range t.AddedTokens {
		if a.Content == "" {
			return nil, fmt.Errorf("tokenizer.json: added token %d is empty", a.ID)
		}
		s.add(a)
	}
	named := len(s.list)
	if err := s.addConfig(f); err != nil {
		return nil, err
	}
	last := int64(-1)
	for i := range s.list {
		a := &s.list[i]
		id, ok := t.Model.ids[a.Content]
		if !ok {
			id = max(last+1, int64(len(t.Model.ids)))
		}
		last = max(last, id)
		if i < named && a.ID != id {
			return nil, fmt.Errorf("tokenizer.json: added token %q has id %d, but %d is the next free one", a.Content, a.ID, id)
		}
		a.ID = id
	}
	return s, nil
}

// addConfig adds what tokenizer_config.json and, where that lists no added tokens, special_tokens_map.json name.
func (s *addedSet) addConfig(f *files) error {
	if f.config.has("added_tokens_decoder") {
		if err := s.addDecoder(f.config.get("added_tokens_decoder")); err != nil {
			return fmt.Errorf("tokenizer_config.json: %w", err)
		}
	}
	s.addNamed(f.tokenAttrs())
	return nil
}

// tokenAttrs are the tokenizer's attributes: tokenizer_config.json's and, where that lists no added tokens, special_tokens_map.json's.
func (f *files) tokenAttrs() *object {
	attrs := &object{values: map[string]any{}}
	if f.config != nil {
		for _, k := range f.config.keys {
			attrs.set(k, f.config.values[k])
		}
	}
	if f.specialMap != nil && !f.config.has("added_tokens_decoder") {
		for _, k := range f.specialMap.keys {
			attrs.set(k, f.specialMap.values[k])
		}
	}
	return attrs
}

// addNamed adds the special tokens that attributes name. Naming makes a token special; only a place in the list
// of extra ones does not, where the token is known.
func (s *addedSet) addNamed(attrs *object) {
	for _, k := range namedTokens {
		s.addSpecial(attrs.get(k), true)
	}
	for _, k := range attrs.keys {
		if strings.HasSuffix(k, "_token") && !slices.Contains(namedTokens, k) {
			s.addSpecial(attrs.get(k), true)
		}
	}
	extra := attrs.get("extra_special_tokens")
	if !truthy(extra) {
		extra = attrs.get("additional_special_tokens")
	}
	switch e := extra.(type) {
	case []any:
		for _, v := range e {
			s.addSpecial(v, false)
		}
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(e)) {
			s.addSpecial(e[k], true)
		}
	}
}

// addDecoder adds the object {id: token} in the order of ids.
func (s *addedSet) addDecoder(v any) error {
	list, err := decoderTokens(v)
	for _, a := range list {
		s.add(a)
	}
	return err
}

// decoderTokens is the object {id: token} in the order of ids.
func decoderTokens(v any) ([]addedToken, error) {
	byID, ok := v.(map[string]any)
	if !ok {
		return nil, errors.New("added_tokens_decoder is not an object")
	}
	var list []addedToken
	for key, v := range byID {
		id, err := strconv.ParseInt(key, 10, 64)
		m, ok := v.(map[string]any)
		content, isText := m["content"].(string)
		if err != nil || !ok || !isText || content == "" {
			return nil, fmt.Errorf("added_tokens_decoder: entry %q is not a token", key)
		}
		list = append(list, addedToken{ID: id, Content: content, Special: truthy(m["special"]), Normalized: normalized(m)})
	}
	slices.SortFunc(list, func(a, b addedToken) int { return cmp.Compare(a.ID, b.ID) })
	return list, nil
}

// normalized is a token's flag; without one a token is normalised unless it is special.
func normalized(m map[string]any) bool {
	if v, ok := m["normalized"]; ok {
		return truthy(v)
	}
	return !truthy(m["special"])
}

// addSpecial adds a special token given as a string or an object. One that is known keeps its
// other flags, and becomes special where it is named.
func (s *addedSet) addSpecial(v any, named bool) {
	a := addedToken{Special: true}
	switch v := v.(type) {
	case string:
		a.Content = v
	case map[string]any:
		a.Content, _ = v["content"].(string)
		a.Normalized = truthy(v["normalized"])
	}
	if i, known := s.at[a.Content]; known {
		s.list[i].Special = s.list[i].Special || named
	} else if a.Content != "" {
		s.add(a)
	}
}

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
