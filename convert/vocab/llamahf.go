package vocab

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

func init() {
	register("llama-hf", readLlamaHF)
	register("gemma4", readGemma4)
}

func isNoFiles(err error) bool { return errors.Is(err, errNoFiles) }

// readLlamaHF reads a tokenizer.json that holds a SentencePiece BPE vocabulary. The order of its merges has no
// place in the metadata, and all scores are alike.
func readLlamaHF(v *Vocab, f *files, opts Options) error {
	t, err := v.putLlamaHF(f, opts)
	if err != nil {
		return err
	}
	v.model, v.pre = "llama", "default"
	v.warn("tokenizer.json: without tokenizer.model tokens have no scores, and loaders merge from left to right: ids will differ from the model's own")
	return v.loadSpecial(f, t, int64(len(v.tokens)))
}

// gemma4Visible are control tokens of Gemma 4 that belong to the text.
var gemma4Visible = []string{"<|channel>", "<channel|>", "<|tool_call>", "<tool_call|>", "<|tool_response>", "<tool_response|>", `<|"|>`}

// readGemma4 reads the same kind of tokenizer.json for Gemma 4, whose loaders merge by the order of merges.
func readGemma4(v *Vocab, f *files, opts Options) error {
	t, err := v.putLlamaHF(f, opts)
	if err != nil {
		return err
	}
	v.model = "gemma4"
	for i, tok := range v.tokens {
		if slices.Contains(gemma4Visible, tok) {
			v.types[i] = typeUserDefined
		}
	}
	if v.merges, err = t.mergeList(); err != nil {
		return fmt.Errorf("tokenizer.json: %w", err)
	}
	v.after = append(v.after, keyValue{keySpacePrefix, false}, keyValue{"tokenizer.ggml.add_bos_token", true})
	return v.loadSpecial(f, t, noLimit)
}

// putLlamaHF makes the list of tokens of a tokenizer.json of SentencePiece's kind: BPE that falls back to bytes.
func (v *Vocab) putLlamaHF(f *files, opts Options) (*tokenizer, error) {
	if f.tokenizer == nil {
		return nil, errNoFiles
	}
	t, err := parseTokenizer(f.tokenizer)
	if errors.As(err, new(*modelTypeError)) {
		return nil, errNoFiles
	}
	if err != nil {
		return nil, fmt.Errorf("tokenizer.json: %w", err)
	}
	if !t.Model.ByteFallback || t.Decoder.Type != "Sequence" {
		return nil, errNoFiles
	}
	if _, err := t.mergeList(); err != nil { // the tokens they name must be there
		return nil, fmt.Errorf("tokenizer.json: %w", err)
	}
	added, err := collectAdded(f, t)
	if err != nil {
		return nil, err
	}
	if err := v.putBase(t, opts.VocabSize); err != nil {
		return nil, err
	}
	return t, v.putBeyond(f, added, opts.VocabSize)
}

// putBase puts the model's own tokens.
func (v *Vocab) putBase(t *tokenizer, size int) error {
	base := len(t.Model.ids)
	byID := make(map[int64]string, base)
	for _, e := range t.Model.sorted() {
		if err := claim(byID, e.ID, e.Content, size); err != nil {
			return err
		}
	}
	v.tokens, v.scores, v.types = make([]string, base), make([]float32, base), make([]int32, base)
	for i := range v.tokens {
		tok, ok := byID[int64(i)]
		if !ok {
			return fmt.Errorf("tokenizer.json: no token has id %d, though there are %d", i, base)
		}
		v.tokens[i], v.scores[i], v.types[i] = tok, scoreAdded, typeNormal
		if isAnyByte(tok) {
			v.types[i] = typeByte
		}
	}
	return nil
}

// putBeyond puts the added tokens that follow the model's own, and marks the special ones.
func (v *Vocab) putBeyond(f *files, added *addedSet, size int) error {
	base := int64(len(v.tokens))
	list := slices.Clone(added.list)
	slices.SortFunc(list, func(a, b addedToken) int { return cmp.Compare(a.ID, b.ID) })
	special := f.namedSpecials()
	for _, a := range list {
		if size > 0 {
			if err := checkID(a.ID, a.Content, size); err != nil {
				return err
			}
		}
		switch {
		case a.ID >= base:
			kind := int32(typeUserDefined)
			if special[a.Content] {
				kind = typeControl
			}
			v.tokens, v.scores, v.types = append(v.tokens, a.Content), append(v.scores, scoreAdded), append(v.types, kind)
		case special[a.Content] && v.types[a.ID] == typeNormal:
			v.types[a.ID] = typeControl
		}
	}
	if size > len(v.tokens) {
		v.warn("tokenizer.json: %d tokens for %d rows of the embedding; llama.cpp does not load such a file", len(v.tokens), size)
	}
	v.findDoubles()
	return nil
}

// namedSpecials are the texts of the tokens that have a part to play: tokenizer_config.json's bos_token and so on,
// and its extra ones. Being marked as special is not enough.
func (f *files) namedSpecials() map[string]bool {
	s := &addedSet{at: map[string]int{}}
	s.addNamed(f.tokenAttrs())
	out := map[string]bool{}
	for _, a := range s.list {
		out[a.Content] = true
	}
	return out
}

// isAnyByte reports whether text is <0x00> to <0xff>, in capitals or not.
func isAnyByte(text string) bool {
	return len(text) == 6 && isByte("<0x"+strings.ToUpper(text[3:5])+">") && strings.HasPrefix(text, "<0x") && text[5] == '>'
}
