// Package vocab turns a checkpoint's tokenizer files into the tokenizer.ggml.* metadata of a GGUF file.
package vocab

import (
	"fmt"
	"io/fs"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/gguf/pretoken"
)

// Options are what the tokenizer files do not say.
type Options struct {
	VocabSize int      // rows of the embedding (config.json's vocab_size); 0: as many as the tokenizer has
	Pre       string   // name of the pre-tokenizer, where it shall not be recognised
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
	pre      string
	tokens   []string
	types    []int32
	merges   []string
	special  specialVocab
	quirks   []Quirk
	warnings []string
}

// The values of tokenizer.ggml.token_type that byte-level vocabularies use.
const (
	typeNormal      = 1
	typeControl     = 3
	typeUserDefined = 4
	typeUnused      = 5
)

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
	t, err := parseTokenizer(f.tokenizer)
	if err != nil {
		return fmt.Errorf("tokenizer.json: %w", err)
	}
	if err := v.addTokens(f, t, opts.VocabSize); err != nil {
		return err
	}
	if v.merges, err = t.mergeList(); err != nil {
		return fmt.Errorf("tokenizer.json: %w", err)
	}
	if err := v.setPre(t, opts); err != nil {
		return fmt.Errorf("tokenizer.json: %w", err)
	}
	return v.loadSpecial(f, t)
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
	md.Set("tokenizer.ggml.model", "gpt2")
	md.Set("tokenizer.ggml.pre", v.pre)
	md.Set("tokenizer.ggml.tokens", v.tokens)
	md.Set("tokenizer.ggml.token_type", v.types)
	md.Set("tokenizer.ggml.merges", v.merges)
	v.special.addTo(md)
}

// Pre is the name of the pre-tokenizer.
func (v *Vocab) Pre() string { return v.pre }

// Size is the number of tokens, fillers included.
func (v *Vocab) Size() int { return len(v.tokens) }

// Quirks lists the reference's defects that the metadata reproduces.
func (v *Vocab) Quirks() []Quirk { return v.quirks }

// Warnings lists what the tokenizer files contain that the metadata cannot express.
func (v *Vocab) Warnings() []string { return v.warnings }
