// Package token turns text into token ids and back, from a GGUF file's metadata alone.
//
// Byte-level byte-pair encoding as the models' own tokenizers do it, with a liberty: every token
// decodes to the text it is matched by, so that decoding an encoded text with special tokens
// written out gives the text again, composed (NFC) where the model's tokenizer composes it.
package token

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/gguf/pretoken"
)

// Options say how Encode and Decode treat special tokens.
type Options struct {
	AddSpecial   bool // Encode: add BOS and EOS where the metadata asks for them
	ParseSpecial bool // Encode: control tokens written out in the text become their ids. Decode: control tokens are written out
}

// kind is a token's type, numbered as in tokenizer.ggml.token_type.
type kind int32

const (
	undefined kind = iota
	normal
	unknown
	control
	userDefined
	unused
	byteToken
)

// Tokenizer is a vocabulary ready for use. It is safe for concurrent use.
type Tokenizer struct {
	model, pre, arch string

	texts  []string
	kinds  []kind
	pieces []string // the bytes each token stands for
	ids    map[string]int32
	coder  coder

	splitter     *pretoken.Splitter
	ignoreMerges bool
	merges       *mergeTable
	bytes        [256]int32  // ids of the single bytes, -1 where there is none
	invalid      []int32     // ids of U+FFFD, for bytes without a token; nil where it has none either
	added        [2]*matcher // tokens found in the text itself: user-defined ones, these and control tokens
	special      map[role]int32
	addBOS       bool
	addEOS       bool
	eog          map[int32]bool
	strips       map[int32]bool // added tokens that swallow the white space behind them
	encoders     sync.Pool
}

// coder is the part of a tokenizer that differs between kinds.
type coder interface {
	// encode appends the ids of text that has no added tokens in it: it begins the whole text or follows one.
	encode(text string, ids []int32) ([]int32, error)
	// piece is the bytes that an ordinary token stands for.
	piece(text string) string
	// spaced reports whether encode puts a space before the text, which decoding takes away again.
	spaced() bool
}

// New builds a tokenizer from a file's tokenizer.ggml.* keys. A kind of tokenizer that is not
// supported is a *gguf.UnsupportedError naming it.
func New(md *gguf.Metadata) (*Tokenizer, error) {
	model, err := gguf.Value[string](md, keyModel)
	if err != nil {
		return nil, fmt.Errorf("token: %w", err)
	}
	t := &Tokenizer{model: model, special: map[role]int32{}, eog: map[int32]bool{}}
	if t.arch, err = optional[string](md, "general.architecture"); err != nil {
		return nil, fmt.Errorf("token: %w", err)
	}
	build, ok := map[string]func(*gguf.Metadata) error{"gpt2": t.buildBPE, "llama": t.buildSPM, "t5": t.buildUnigram, "gemma4": t.buildGemma4}[model]
	if !ok {
		return nil, &gguf.UnsupportedError{Msg: fmt.Sprintf("token: tokenizer model %q is not supported", model)}
	}
	if err := build(md); err != nil {
		return nil, err
	}
	t.setPieces()
	t.buildMatchers()
	return t, nil
}

// buildBPE makes a byte-level BPE tokenizer.
func (t *Tokenizer) buildBPE(md *gguf.Metadata) error {
	info, err := t.readPre(md)
	if err != nil {
		return err
	}
	if err := t.readTokens(md); err != nil {
		return err
	}
	t.addBOS, t.addEOS = info.AddBOS, false
	if err := t.readSpecial(md); err != nil {
		return err
	}
	t.findEOG()
	if err := t.readMerges(md); err != nil {
		return err
	}
	t.encoders.New = func() any { return newEncoder(t) }
	t.invalid = t.encodeInvalid()
	t.coder = bpe{t, t.composes()}
	return nil
}

// The keys of a vocabulary.
const (
	keyModel  = "tokenizer.ggml.model"
	keyPre    = "tokenizer.ggml.pre"
	keyTokens = "tokenizer.ggml.tokens"
	keyTypes  = "tokenizer.ggml.token_type"
	keyMerges = "tokenizer.ggml.merges"
	keyAddBOS = "tokenizer.ggml.add_bos_token"
	keyAddEOS = "tokenizer.ggml.add_eos_token"
)

// optional is the value of key, the zero value where it is missing.
func optional[T any](md *gguf.Metadata, key string) (T, error) {
	v, err := gguf.Value[T](md, key)
	var missing *gguf.KeyError
	if errors.As(err, &missing) && missing.Got == "" {
		return v, nil
	}
	return v, err
}

func (t *Tokenizer) readPre(md *gguf.Metadata) (pretoken.Info, error) {
	name, err := optional[string](md, keyPre)
	if err != nil {
		return pretoken.Info{}, fmt.Errorf("token: %w", err)
	}
	t.pre = name
	if name == "" {
		name = "default"
	}
	info, ok := pretoken.Lookup(name)
	if !ok || info.RawUTF8 {
		return info, &gguf.UnsupportedError{Msg: fmt.Sprintf("token: pre-tokenizer %q is not supported", name)}
	}
	t.ignoreMerges = info.IgnoreMerges
	t.splitter, err = pretoken.New(name)
	return info, err
}

func (t *Tokenizer) readTokens(md *gguf.Metadata) error {
	texts, err := gguf.Value[[]string](md, keyTokens)
	if err != nil {
		return fmt.Errorf("token: %w", err)
	}
	if len(texts) == 0 {
		return fmt.Errorf("token: key %s is empty", keyTokens)
	}
	types, err := optional[[]int32](md, keyTypes)
	if err != nil {
		return fmt.Errorf("token: %w", err)
	}
	if types != nil && len(types) != len(texts) {
		return fmt.Errorf("token: %d tokens but %d in %s", len(texts), len(types), keyTypes)
	}
	t.texts = slices.Clone(texts)
	t.kinds = make([]kind, len(texts))
	t.ids = make(map[string]int32, len(texts))
	for i := range t.texts {
		if t.texts[i] == "" {
			t.texts[i] = fmt.Sprintf("[EMPTY_%d]", i)
		}
		t.kinds[i] = normal
		if types != nil {
			t.kinds[i] = kind(types[i])
		}
		if old, ok := t.ids[t.texts[i]]; ok {
			return fmt.Errorf("token: tokens %d and %d are both %q", old, i, t.texts[i])
		}
		t.ids[t.texts[i]] = int32(i)
	}
	return nil
}

// Size is the number of ids.
func (t *Tokenizer) Size() int { return len(t.texts) }

// valid reports whether id is in the vocabulary.
func (t *Tokenizer) valid(id int32) bool { return id >= 0 && int(id) < len(t.texts) }

// TokenText is the token as it stands in the file's list, empty for an id outside of it.
func (t *Tokenizer) TokenText(id int32) string {
	if !t.valid(id) {
		return ""
	}
	return t.texts[id]
}

// Piece is the bytes id stands for, control tokens written out; nil for an id outside of the vocabulary.
func (t *Tokenizer) Piece(id int32) []byte {
	if !t.valid(id) {
		return nil
	}
	return []byte(t.pieces[id])
}

// IsControl reports whether id is a control token, which is no part of a text.
func (t *Tokenizer) IsControl(id int32) bool {
	return t.valid(id) && (t.kinds[id] == control || t.kinds[id] == unknown)
}
