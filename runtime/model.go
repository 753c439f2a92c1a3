package runtime

import (
	"errors"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/runtime/offload"
	"github.com/moeconv/moeconv/runtime/token"
)

// Model is a loaded model. It is safe for concurrent use; each user has a Session of their own.
type Model struct{}

// Load reads src's tensors into memory and checks that they are what the architecture's graph needs: every shape,
// every metadata key, nothing missing and nothing left over. src may be closed when Load has returned.
// An architecture that cannot be run is a *gguf.UnsupportedError.
func Load(src gguf.Source, opts Options) (*Model, error) {
	return nil, errors.New("runtime: not written yet")
}

// Close frees the model. Sessions must not be used after it.
func (m *Model) Close() error { return nil }

// VocabSize is the number of logits of a position.
func (m *Model) VocabSize() int { return 0 }

// ContextLength is the number of positions that a session holds.
func (m *Model) ContextLength() int { return 0 }

// Metadata is the source's.
func (m *Model) Metadata() *gguf.Metadata { return nil }

// Tokenizer is the model's; it fails on a vocabulary that is missing or not supported.
func (m *Model) Tokenizer() (*token.Tokenizer, error) { return nil, nil }

// Ledger says where each tensor lives under Options.Placement.
func (m *Model) Ledger() *offload.Ledger { return nil }

// NewSession starts an empty text.
func (m *Model) NewSession() *Session { return &Session{} }
