package vocab

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

func init() {
	register("sentencepiece", readSentencePiece)
	register("phi", readPhi)
	register("arctic", readArctic)
}

// Scores of tokens that no tokenizer.model has one for.
const (
	scoreFiller = -10000
	scoreAdded  = -1000
)

// readSentencePiece reads a tokenizer.model, and over it the added tokens of added_tokens.json and tokenizer_config.json.
func readSentencePiece(v *Vocab, f *files, opts Options) error {
	m, err := f.spModel()
	if err != nil {
		return err
	}
	if err := v.putPieces(m, opts.VocabSize, true); err != nil {
		return err
	}
	if err := v.putAddedJSON(f); err != nil {
		return err
	}
	decoder, err := f.addedDecoder()
	if err != nil {
		return err
	}
	for _, a := range decoder {
		if !v.fits("tokenizer_config.json", a.ID, a.Content) {
			continue
		}
		text, kind := a.Content, int32(typeControl)
		if !a.Special && !looksSpecial(text) {
			text, kind = strings.ReplaceAll(text, "▁", " "), typeUserDefined
		}
		v.replace("tokenizer_config.json", a.ID, text, scoreAdded, kind)
	}
	return v.finishSentencePiece(f)
}

// readPhi does the same in the way of the Phi models: also tokenizer.json's added tokens count, and all stay as
// they are spelled. A tokenizer of class GPT2Tokenizer is byte-level BPE.
func readPhi(v *Vocab, f *files, opts Options) error {
	if f.config.get("tokenizer_class") == "GPT2Tokenizer" {
		return v.tryForms(f, opts, "gpt2")
	}
	m, err := f.spModel()
	if err != nil {
		return err
	}
	if err := v.putPieces(m, opts.VocabSize, false); err != nil {
		return err
	}
	if err := v.putAddedJSON(f); err != nil {
		return err
	}
	decoder, err := f.addedDecoder()
	if err != nil {
		return err
	}
	t, err := f.specialParts()
	if err != nil {
		return err
	}
	if err := v.putAsSpelled("tokenizer_config.json", decoder); err != nil {
		return err
	}
	if err := v.putAsSpelled("tokenizer.json", t.AddedTokens); err != nil {
		return err
	}
	return v.finishSentencePiece(f)
}

// putAsSpelled takes over added tokens, all of which must be within the vocabulary.
func (v *Vocab) putAsSpelled(file string, list []addedToken) error {
	for _, a := range list {
		if a.ID < 0 || a.ID >= int64(len(v.tokens)) {
			return fmt.Errorf("%s: token id %d (%q) is outside of vocab_size %d", file, a.ID, a.Content, len(v.tokens))
		}
		kind := int32(typeUserDefined)
		if a.Special {
			kind = typeControl
		}
		v.replace(file, a.ID, a.Content, scoreAdded, kind)
	}
	return nil
}

// readArctic does the same in the way of Snowflake Arctic, whose added tokens take the place of pieces.
func readArctic(v *Vocab, f *files, opts Options) error {
	m, err := f.spModel()
	if err != nil {
		return err
	}
	if err := v.putPieces(m, opts.VocabSize, false); err != nil {
		return err
	}
	decoder, err := f.addedDecoder()
	if err != nil {
		return err
	}
	for _, a := range decoder {
		if !v.fits("tokenizer_config.json", a.ID, a.Content) {
			continue
		}
		kind, score := int32(typeUserDefined), float32(scoreFiller)
		if a.Special {
			kind, score = typeControl, 0
			if f.config.get("unk_token") == a.Content {
				kind = typeUnknown
			}
		}
		v.replace("tokenizer_config.json", a.ID, a.Content, score, kind)
	}
	return v.finishSentencePiece(f)
}

// spModel reads tokenizer.model.
func (f *files) spModel() (*spModel, error) {
	data, err := readFile(f.fsys, "tokenizer.model")
	if err != nil {
		return nil, err
	}
	if data == nil {
		return nil, errNoFiles
	}
	m, err := parseSPModel(data)
	if err != nil {
		return nil, fmt.Errorf("tokenizer.model: %w", err)
	}
	return m, nil
}

// putPieces makes a list of size tokens, as many as there are pieces where size is 0: the pieces, then fillers.
// Pieces beyond it are left out, if that is allowed.
func (v *Vocab) putPieces(m *spModel, size int, cut bool) error {
	if size < 0 || size > maxVocabSize {
		return fmt.Errorf("config.json: vocab_size %d is not between 1 and %d", size, maxVocabSize)
	}
	if size == 0 {
		size = len(m.pieces)
	}
	pieces := m.pieces
	if len(pieces) > size {
		if !cut {
			return fmt.Errorf("tokenizer.model: %d pieces are more than vocab_size %d", len(pieces), size)
		}
		v.warn("tokenizer.model: the pieces from %d on are outside of vocab_size %d and left out", size, size)
		pieces = pieces[:size]
	}
	v.model, v.pre = "llama", "default"
	v.normal = m
	v.tokens, v.scores, v.types = make([]string, size), make([]float32, size), make([]int32, size)
	for i, p := range pieces {
		v.tokens[i], v.scores[i], v.types[i] = p.text, p.score, p.kind
		if p.kind == typeUserDefined { // the reference does not ask for this kind
			v.types[i] = typeNormal
		}
	}
	for i := len(pieces); i < size; i++ {
		v.tokens[i], v.scores[i], v.types[i] = fmt.Sprintf("[PAD%d]", i), scoreFiller, typeUnused
	}
	return nil
}

// putAddedJSON takes over the tokens of added_tokens.json, an object {text: id}.
func (v *Vocab) putAddedJSON(f *files) error {
	added, err := readObject(f.fsys, "added_tokens.json")
	if err != nil || added == nil {
		return err
	}
	for _, text := range added.keys {
		n, _ := added.values[text].(json.Number)
		id, err := strconv.ParseInt(n.String(), 10, 64)
		if err != nil || id < 0 {
			return fmt.Errorf("added_tokens.json: the id of %q is not a number from 0 on", text)
		}
		if v.fits("added_tokens.json", id, text) {
			v.tokens[id], v.scores[id], v.types[id] = text, scoreAdded, typeUserDefined
		}
	}
	return nil
}

// addedDecoder is the added_tokens_decoder of tokenizer_config.json by id; nil where there is none.
func (f *files) addedDecoder() ([]addedToken, error) {
	if !f.config.has("added_tokens_decoder") {
		return nil, nil
	}
	list, err := decoderTokens(f.config.get("added_tokens_decoder"))
	if err == nil && len(list) > 0 && list[0].ID < 0 {
		err = errors.New("added_tokens_decoder: negative id")
	}
	if err != nil {
		return nil, fmt.Errorf("tokenizer_config.json: %w", err)
	}
	return list, nil
}

// fits reports whether id is within the vocabulary, and warns if not.
func (v *Vocab) fits(file string, id int64, text string) bool {
	if id < int64(len(v.tokens)) {
		return true
	}
	v.warn("%s: token id %d (%q) is outside of vocab_size %d and left out", file, id, text, len(v.tokens))
	return false
}

// replace puts a token in the place of a filler, or of another token with a warning.
func (v *Vocab) replace(file string, id int64, text string, score float32, kind int32) {
	if v.types[id] != typeUnused && v.tokens[id] != text {
		v.warn("%s: token %d becomes %q instead of %q", file, id, text, v.tokens[id])
	}
	v.tokens[id], v.scores[id], v.types[id] = text, score, kind
}

func (v *Vocab) finishSentencePiece(f *files) error {
	v.findDoubles()
	if m := v.normal; v.model == "llama" {
		if m.kind != spBPE {
			v.warn("tokenizer.model: of model type %d, not BPE (%d), as which loaders will treat it: ids will differ from the model's own", m.kind, spBPE)
		}
		if len(m.charsMap) > 0 || m.removeWhitespace {
			v.warn("tokenizer.model: text is normalised (characters: %t, runs of spaces: %t), which loaders do not do", len(m.charsMap) > 0, m.removeWhitespace)
		}
	}
	t, err := f.specialParts()
	if err != nil {
		return err
	}
	return v.loadSpecial(f, t, int64(len(v.tokens)))
}

// checkPrefix warns where tokenizer.model and the metadata do not agree on the space in front of texts.
func (v *Vocab) checkPrefix() {
	if v.normal == nil {
		return
	}
	prefix := true // without the key
	for _, kv := range slices.Concat(v.before, v.middle, v.after) {
		if kv.key == keySpacePrefix {
			prefix, _ = kv.value.(bool)
		}
	}
	if prefix != v.normal.dummyPrefix {
		v.warn("tokenizer.model: a space goes before texts: %t; the metadata says %t and counts", v.normal.dummyPrefix, prefix)
	}
}

// specialParts are the parts of tokenizer.json that matter where another file has the vocabulary; none without one.
func (f *files) specialParts() (*tokenizer, error) {
	t := &tokenizer{}
	if f.tokenizer == nil {
		return t, nil
	}
	var parts struct {
		AddedTokens   []addedToken   `json:"added_tokens"`
		PostProcessor map[string]any `json:"post_processor"`
	}
	if err := json.Unmarshal(f.tokenizer, &parts); err != nil {
		return nil, fmt.Errorf("tokenizer.json: %w", jsonError(err))
	}
	t.AddedTokens, t.PostProcessor = parts.AddedTokens, parts.PostProcessor
	return t, nil
}
