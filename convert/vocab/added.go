package vocab

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// namedTokens are the attributes of a tokenizer that hold a special token.
var namedTokens = []string{"bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"}

// addedSet is the added tokens as transformers ends up with: tokenizer.json's, then those of
// tokenizer_config.json, whose flags win, then special tokens that only have a name.
type addedSet struct {
	list    []addedToken
	at      map[string]int
	decoder map[string]bool // the tokens of added_tokens_decoder; nil where there is none
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
		s.decoder = map[string]bool{}
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

// addNamed adds the special tokens that attributes name. Naming makes a token special that is known, unless there
// is an added_tokens_decoder that lacks it; a place in the list of extra ones does not.
func (s *addedSet) addNamed(attrs *object) {
	for _, k := range namedTokens {
		s.addSpecial(attrs.get(k), true)
	}
	for _, k := range attrs.keys {
		if strings.HasSuffix(k, "_token") && !slices.Contains(namedTokens, k) {
			s.addSpecial(attrs.get(k), true)
		}
	}
	list := attrs.get("additional_special_tokens")
	switch e := attrs.get("extra_special_tokens").(type) {
	case []any:
		if len(e) > 0 {
			list = e
		}
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(e)) {
			s.addSpecial(e[k], true)
		}
	}
	extra, _ := list.([]any)
	for _, v := range extra {
		s.addSpecial(v, false)
	}
}

// addDecoder adds the object {id: token} in the order of ids.
func (s *addedSet) addDecoder(v any) error {
	list, err := decoderTokens(v)
	for _, a := range list {
		s.decoder[a.Content] = true
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
		if named && (s.decoder == nil || s.decoder[a.Content]) {
			s.list[i].Special = true
		}
	} else if a.Content != "" {
		s.add(a)
	}
}
