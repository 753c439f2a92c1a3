// Package vocab turns a checkpoint's tokenizer files into the tokenizer.ggml.* metadata of a GGUF file.
package vocab

import (
	"errors"
	"io/fs"

	"github.com/moeconv/moeconv/gguf"
)

// Options are what the tokenizer files do not say.
type Options struct {
	VocabSize int    // rows of the embedding (config.json's vocab_size); 0: as many as the tokenizer has
	Pre       string // name of the pre-tokenizer, where it shall not be recognised
}

// Quirk is a defect of the reference's metadata that is reproduced so that bytes agree.
type Quirk struct{ Key, What string }

// Vocab is a tokenizer's vocabulary as GGUF metadata.
type Vocab struct{}

// Load reads the tokenizer of the checkpoint at the root of fsys.
func Load(fsys fs.FS, opts Options) (*Vocab, error) { return nil, errors.New("vocab: not written yet") }

// AddTo sets the vocabulary's keys in the order the reference converter writes them.
func (v *Vocab) AddTo(md *gguf.Metadata) {}

// Quirks lists the reference's defects that the metadata reproduces.
func (v *Vocab) Quirks() []Quirk { return nil }

// Warnings lists what the tokenizer files contain that the metadata cannot express.
func (v *Vocab) Warnings() []string { return nil }
