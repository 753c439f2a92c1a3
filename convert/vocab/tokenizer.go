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
	Type         string          `json:"type"`
	Vocab        json.RawMessage `json:"vocab"`  // {token: id}; a list for Unigram
	Merges       json.RawMessage `json:"merges"` // ["left right" or [left, right]]
	Prefix       string          `json:"continuing_subword_prefix"`
	Suffix       string          `json:"end_of_word_suffix"`
	ByteFallback bool            `json:"byte_fallback"`
	IgnoreMerges bool            `json:"ignore_merges"`

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
	if t.Model.Type == "" && len(t.Model.Merges) > len("[]") {
		t.Model.Type = "BPE" // files of before 2020 do not say
	}
	if t.Model.Type == "" {
		return nil, errors.New("there is no model of a known type")
	}
	if t.Model.Type != "BPE" {
		return nil, &modelTypeError{unsupported("model type %q is not supported", t.Model.Type)}
	}
	var ok bool
	if t.Model.ids, ok = scanIDs(t.Model.Vocab); !ok {
		if err := json.Unmarshal(t.Model.Vocab, &t.Model.ids); err != nil {
			return nil, fmt.Errorf("model.vocab: %w", jsonError(err))
		}
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
		if a.ID != b.ID {
			return cmp.Compare(a.ID, b.ID)
		}
		return strings.Compare(a.Content, b.Content)
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
	list, err := elements(t.Model.Merges)
	if len(t.Model.Merges) == 0 || string(t.Model.Merges) == "null" || err == nil && len(list) == 0 {
		return nil, errors.New("there are no merges")
	}
	if err != nil {
		return nil, fmt.Errorf("model.merges: %w", err)
	}
	pairs := list[0][0] == '['
	out := make([]string, len(list))
	var whole []byte
	for i, raw := range list {
		left, right, err := parseMerge(raw, pairs)
		if err != nil {
			return nil, fmt.Errorf("merge %d: %w", i, err)
		}
		_, ok1 := t.Model.ids[left]
		_, ok2 := t.Model.ids[right]
		whole = append(append(whole[:0], left...), right...)
		_, ok3 := t.Model.ids[string(whole)]
		if !ok1 || !ok2 || !ok3 {
			missing := string(whole)
			if !ok1 {
				missing = left
			} else if !ok2 {
				missing = right
			}
			return nil, fmt.Errorf("merge %d %q refers to token %q that is not in the vocabulary", i, left+" "+right, missing)
		}
		if strings.Contains(left, " ") || strings.Contains(right, " ") {
			left, right = strings.ReplaceAll(left, " ", "Ġ"), strings.ReplaceAll(right, " ", "Ġ")
		}
		out[i] = left + " " + right
	}
	return out, nil
}

func parseMerge(raw []byte, pair bool) (left, right string, err error) {
	if pair {
		p, err := elements(raw)
		if err == nil && len(p) != 2 {
			err = errors.New("not two elements")
		}
		if err == nil {
			left, _, err = cutString(p[0])
		}
		if err == nil {
			right, _, err = cutString(p[1])
		}
		if err != nil {
			return "", "", fmt.Errorf("%.60s is not a pair of tokens", raw)
		}
		return left, right, nil
	}
	s, _, err := cutString(raw)
	if err != nil {
		return "", "", fmt.Errorf("%.60s is not a string", raw)
	}
	left, right, ok := strings.Cut(s, " ")
	if !ok || strings.Contains(right, " ") {
		return "", "", fmt.Errorf("%q is not two tokens and a space", s)
	}
	return left, right, nil
}
