package vocab

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/moeconv/moeconv/gguf/pretoken"
)

// tokenizer is tokenizer.json.
type tokenizer struct {
	Model         model           `json:"model"`
	AddedTokens   []addedToken    `json:"added_tokens"`
	Normalizer    json.RawMessage `json:"normalizer"`
	PreTokenizer  json.RawMessage `json:"pre_tokenizer"`
	PostProcessor map[string]any  `json:"post_processor"`
	Decoder       struct {
		Type string `json:"type"`
	} `json:"decoder"`
}

type model struct {
	Type         string            `json:"type"`
	Vocab        json.RawMessage   `json:"vocab"` // {token: id}; a list for Unigram
	Merges       []json.RawMessage `json:"merges"`
	Prefix       string            `json:"continuing_subword_prefix"`
	Suffix       string            `json:"end_of_word_suffix"`
	ByteFallback bool              `json:"byte_fallback"`
	IgnoreMerges bool              `json:"ignore_merges"`

	ids map[string]int64
}

// addedToken is a token that is found in the text before anything else.
type addedToken struct {
	ID         int64  `json:"id"`
	Content    string `json:"content"`
	Special    bool   `json:"special"`
	Normalized bool   `json:"normalized"`
}

func parseTokenizer(data []byte) (*tokenizer, error) {
	t := &tokenizer{}
	if err := json.Unmarshal(data, t); err != nil {
		return nil, jsonError(err)
	}
	if t.Model.Type == "" && len(t.Model.Merges) > 0 {
		t.Model.Type = "BPE" // files of before 2020 do not say
	}
	if t.Model.Type == "" {
		return nil, errors.New("there is no model of a known type")
	}
	if t.Model.Type != "BPE" {
		return nil, &modelTypeError{unsupported("model type %q is not supported", t.Model.Type)}
	}
	if err := json.Unmarshal(t.Model.Vocab, &t.Model.ids); err != nil {
		return nil, fmt.Errorf("model.vocab: %w", jsonError(err))
	}
	if len(t.Model.ids) == 0 {
		return nil, errors.New("model.vocab is empty")
	}
	return t, nil
}

// modelTypeError says that the model is not BPE.
type modelTypeError struct{ error }

func (e *modelTypeError) Unwrap() error { return e.error }

// sorted is the vocabulary by id, then by text.
func (m *model) sorted() []addedToken {
	out := make([]addedToken, 0, len(m.ids))
	for tok, id := range m.ids {
		out = append(out, addedToken{ID: id, Content: tok})
	}
	slices.SortFunc(out, func(a, b addedToken) int {
		return cmp.Or(cmp.Compare(a.ID, b.ID), strings.Compare(a.Content, b.Content))
	})
	return out
}

// checkByteLevel refuses what is BPE, but not over the byte alphabet.
func (t *tokenizer) checkByteLevel() error {
	switch {
	case t.Model.ByteFallback:
		return unsupported("SentencePiece-style BPE (byte_fallback) is not supported")
	case t.Model.Prefix != "":
		return unsupported("continuing_subword_prefix %q is not supported", t.Model.Prefix)
	case t.Model.Suffix != "":
		return unsupported("end_of_word_suffix %q is not supported", t.Model.Suffix)
	}
	return nil
}

// preError turns an unknown structure or name into an UnsupportedError that says what to do.
func preError(err error) error {
	msg := strings.TrimPrefix(err.Error(), "pretoken: ")
	if errors.As(err, new(*pretoken.UnknownError)) {
		return unsupported("%s (--pre NAME sets the pre-tokenizer)", msg)
	}
	return errors.New(msg)
}

// mergeList is the merges as "left right", spaces within a token written as U+0120. All
// tokens a merge names must be in the vocabulary.
func (t *tokenizer) mergeList() ([]string, error) {
	if len(t.Model.Merges) == 0 {
		return nil, errors.New("there are no merges")
	}
	pairs := t.Model.Merges[0][0] == '['
	out := make([]string, len(t.Model.Merges))
	for i, raw := range t.Model.Merges {
		left, right, err := parseMerge(raw, pairs)
		if err != nil {
			return nil, fmt.Errorf("merge %d: %w", i, err)
		}
		for _, tok := range []string{left, right, left + right} {
			if _, ok := t.Model.ids[tok]; !ok {
				return nil, fmt.Errorf("merge %d %q refers to token %q that is not in the vocabulary", i, left+" "+right, tok)
			}
		}
		out[i] = strings.ReplaceAll(left, " ", "Ġ") + " " + strings.ReplaceAll(right, " ", "Ġ")
	}
	return out, nil
}

func parseMerge(raw json.RawMessage, pair bool) (left, right string, err error) {
	if pair {
		var p []string
		if err := json.Unmarshal(raw, &p); err != nil || len(p) != 2 {
			return "", "", fmt.Errorf("%.60s is not a pair of tokens", raw)
		}
		return p[0], p[1], nil
	}
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		return "", "", fmt.Errorf("%.60s is not a string", raw)
	}
	left, right, ok := strings.Cut(s, " ")
	if !ok || strings.Contains(right, " ") {
		return "", "", fmt.Errorf("%q is not two tokens and a space", s)
	}
	return left, right, nil
}
