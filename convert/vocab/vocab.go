// Package vocab turns a checkpoint's tokenizer files into the tokenizer.ggml.* metadata of a GGUF file.
package vocab

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/gguf/pretoken"
)

// Options are what the tokenizer files do not say.
type Options struct {
	VocabSize int      // rows of the embedding (config.json's vocab_size); 0: as many as the tokenizer has
	Pre       string   // name of the pre-tokenizer, where it shall not be recognised
	Forms     []string // ways the vocabulary may be stored (see Forms), tried in order; none: byte-level BPE in tokenizer.json
	Prefer    []string // names the model's family is known by, where several pre-tokenizers do the same
}

// maxVocabSize bounds the vocabulary: fillers for missing tokens cost memory on the word of config.json alone.
const maxVocabSize = 1 << 22

// Quirk is a defect of the reference's metadata that is reproduced so that bytes agree.
type Quirk struct {
	Key, What string
	Right     any // the value the key should have; nil where that is not known
}

// Vocab is a tokenizer's vocabulary as GGUF metadata.
type Vocab struct {
	model    string    // what kind of tokenizer a loader is to build: gpt2, llama, t5 ...
	pre      string    // not written where empty
	tokens   []string  // as many as there are ids
	scores   []float32 // of each token; nil where the kind has none
	types    []int32   // of each token
	merges   []string  // nil where the kind has none
	special  specialVocab
	normal   *spModel   // the tokenizer.model, which says how text is normalised; nil without one
	idsFirst bool       // mistral-common's order: merges and ids ahead of the tokens, and their number
	before   []keyValue // written ahead of everything else
	middle   []keyValue // written between the tokens and the special ones
	after    []keyValue // written last; keys that are there already change their value in place
	quirks   []Quirk
	warnings []string
}

// keyValue is a metadata entry.
type keyValue struct {
	key   string
	value any
}

// The values of tokenizer.ggml.token_type.
const (
	typeNormal      = 1
	typeUnknown     = 2
	typeControl     = 3
	typeUserDefined = 4
	typeUnused      = 5
	typeByte        = 6
)

// keySpacePrefix says whether texts get a space in front before they are encoded.
const keySpacePrefix = "tokenizer.ggml.add_space_prefix"

// Load reads the tokenizer of the checkpoint at the root of fsys. A kind of tokenizer that is
// not supported is a *gguf.UnsupportedError naming it.
func Load(fsys fs.FS, opts Options) (*Vocab, error) {
	v := &Vocab{}
	if err := v.load(fsys, opts); err != nil {
		return nil, fmt.Errorf("vocab: %w", err)
	}
	return v, nil
}

func (v *Vocab) load(fsys fs.FS, opts Options) error {
	f, err := readFiles(fsys)
	if err != nil {
		return err
	}
	names := opts.Forms
	if len(names) == 0 {
		names = []string{"gpt2"}
	}
	err = v.tryForms(f, opts, names...)
	if errors.Is(err, errNoFiles) {
		return noTokenizer(fsys)
	}
	v.checkPrefix()
	return err
}

// setPre names the pre-tokenizer: the one asked for, or the one the structure shows.
func (v *Vocab) setPre(t *tokenizer, opts Options) error {
	if err := t.checkByteLevel(); err != nil {
		return err
	}
	if opts.Pre != "" {
		if _, ok := pretoken.Lookup(opts.Pre); !ok {
			_, err := pretoken.New(opts.Pre)
			return preError(err)
		}
		v.pre = opts.Pre
		return nil
	}
	st, err := pretoken.ParseStructure(t.PreTokenizer, t.Normalizer)
	if err != nil {
		return preError(err)
	}
	m, err := pretoken.Classify(st, t.Model.IgnoreMerges, opts.Prefer...)
	if err != nil {
		return preError(err)
	}
	v.pre = m.Name
	if len(m.Others) > 0 {
		v.warn("tokenizer.json: pre-tokenizer recognised as %s; %v cut text alike", m.Name, m.Others)
	}
	if m.NFC {
		v.warn("tokenizer.json: text is normalised to NFC, which loaders of GGUF files do not do")
	}
	if m.MergesDiffer {
		v.warn("tokenizer.json: ignore_merges is %t, loaders do the opposite for %s", t.Model.IgnoreMerges, m.Name)
	}
	return nil
}

func (v *Vocab) warn(format string, args ...any) {
	v.warnings = append(v.warnings, fmt.Sprintf(format, args...))
}

func unsupported(format string, args ...any) error {
	return &gguf.UnsupportedError{Msg: fmt.Sprintf(format, args...)}
}

// AddTo sets the vocabulary's keys in the order the reference converter writes them.
func (v *Vocab) AddTo(md *gguf.Metadata) {
	for _, kv := range v.before {
		md.Set(kv.key, kv.value)
	}
	md.Set("tokenizer.ggml.model", v.model)
	if v.pre != "" {
		md.Set("tokenizer.ggml.pre", v.pre)
	}
	if v.idsFirst {
		v.addMerges(md)
		v.special.addIDs(md)
	}
	md.Set("tokenizer.ggml.tokens", v.tokens)
	switch {
	case v.idsFirst: // the reference writes zeros, and they are no floats
		md.Set("tokenizer.ggml.scores", make([]int32, len(v.tokens)))
	case v.scores != nil:
		md.Set("tokenizer.ggml.scores", v.scores)
	}
	md.Set("tokenizer.ggml.token_type", v.types)
	if arch, err := gguf.Value[string](md, "general.architecture"); v.idsFirst && err == nil {
		md.Set(arch+".vocab_size", uint32(len(v.tokens)))
	}
	if !v.idsFirst {
		v.addMerges(md)
	}
	for _, kv := range v.middle {
		md.Set(kv.key, kv.value)
	}
	v.special.addTo(md)
	for _, kv := range v.after {
		md.Set(kv.key, kv.value)
	}
}

func (v *Vocab) addMerges(md *gguf.Metadata) {
	if v.merges != nil {
		md.Set("tokenizer.ggml.merges", v.merges)
	}
}

// Model is the kind of tokenizer: gpt2 for byte-level BPE, llama for SentencePiece BPE, t5 for unigram.
func (v *Vocab) Model() string { return v.model }

// Pre is the name of the pre-tokenizer, "default" where text is not cut by patterns.
func (v *Vocab) Pre() string { return v.pre }

// Size is the number of tokens, fillers included.
func (v *Vocab) Size() int { return len(v.tokens) }

// Quirks lists the reference's defects that the metadata reproduces.
func (v *Vocab) Quirks() []Quirk { return v.quirks }

// Warnings lists what the tokenizer files contain that the metadata cannot express.
func (v *Vocab) Warnings() []string { return v.warnings }
