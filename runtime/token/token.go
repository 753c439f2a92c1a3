// Package token turns text into token ids and back, from a GGUF file's metadata alone.
package token

import (
	"errors"

	"github.com/moeconv/moeconv/gguf"
)

// Options say how Encode and Decode treat special tokens.
type Options struct {
	AddSpecial   bool // Encode: add BOS and EOS where the metadata asks for them
	ParseSpecial bool // Encode: control tokens written out in the text become their ids. Decode: control tokens are written out
}

// Tokenizer is a vocabulary ready for use. It is safe for concurrent use.
type Tokenizer struct{}

// New builds a tokenizer from a file's tokenizer.ggml.* keys.
func New(md *gguf.Metadata) (*Tokenizer, error) { return nil, errors.New("token: not written yet") }

// Encode is the ids of text.
func (t *Tokenizer) Encode(text string, opts Options) ([]int32, error) { return nil, nil }

// Decode is the text of ids.
func (t *Tokenizer) Decode(ids []int32, opts Options) string { return "" }

// NewDecoder decodes ids one by one.
func (t *Tokenizer) NewDecoder() *Decoder { return nil }

// Decoder holds back the bytes of an incomplete UTF-8 sequence.
type Decoder struct{}

// Push is the text that is complete with id.
func (d *Decoder) Push(id int32) string { return "" }

// Flush is what was held back.
func (d *Decoder) Flush() string { return "" }

// BOS is the id of the token that begins a text.
func (t *Tokenizer) BOS() (int32, bool) { return 0, false }

// EOS is the id of the token that ends a text.
func (t *Tokenizer) EOS() (int32, bool) { return 0, false }

// EOT is the id of the token that ends a turn.
func (t *Tokenizer) EOT() (int32, bool) { return 0, false }

// AddBOS reports whether texts begin with BOS.
func (t *Tokenizer) AddBOS() bool { return false }

// AddEOS reports whether texts end with EOS.
func (t *Tokenizer) AddEOS() bool { return false }

// IsEOG reports whether id ends a generation.
func (t *Tokenizer) IsEOG(id int32) bool { return false }

// Size is the number of ids.
func (t *Tokenizer) Size() int { return 0 }

// TokenText is the token as it stands in the file's list.
func (t *Tokenizer) TokenText(id int32) string { return "" }

// Piece is the bytes id stands for.
func (t *Tokenizer) Piece(id int32) []byte { return nil }
