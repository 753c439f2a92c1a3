package runtime

import (
	"context"
	"fmt"
	"sync"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/runtime/nn"
	"github.com/moeconv/moeconv/runtime/offload"
	"github.com/moeconv/moeconv/runtime/token"
)

// Model is a loaded model. It is safe for concurrent use; each user has a Session of their own.
type Model struct {
	md      *gguf.Metadata
	context int
	layered bool
	hidden  int64 // bytes of hidden states that RunLayers keeps in memory
	decoder *nn.Decoder
	ledger  *offload.Ledger
	needs   Needs

	tokenBytes int64
	tokenizer  func() (*token.Tokenizer, error)
}

// Check fails with a *gguf.UnsupportedError for a model whose metadata says that Load could not run it.
func Check(md *gguf.Metadata) error {
	if _, err := nn.ReadParams(md); err != nil {
		return fmt.Errorf("runtime: %w", err)
	}
	return nil
}

// Load reads src's tensors into memory and checks that they are what the architecture's graph needs: every shape,
// every metadata key, nothing missing and nothing left over. src may be closed when Load has returned, unless Model.NeedsSource;
// then it is closed after the model.
// An architecture, or a type of weights, that cannot be run is a *gguf.UnsupportedError.
func Load(src gguf.Source, opts Options) (*Model, error) {
	if err := opts.check(); err != nil {
		return nil, err
	}
	md := src.Metadata()
	params, err := nn.ReadParams(md)
	if err != nil {
		return nil, fmt.Errorf("runtime: %w", err)
	}
	place, err := opts.place(src, params)
	if err != nil {
		return nil, err
	}
	m := &Model{md: md, ledger: place.ledger, needs: place.needs, context: opts.Context, layered: opts.Layers, hidden: hiddenBytes, tokenBytes: tokenBytes(src.Tensors(), params)}
	if m.context == 0 {
		m.context = params.Context
	}
	opts.log(place.ledger, m.context, params.Context)
	m.decoder, err = nn.Load(context.Background(), src, nn.Options{
		Workers: opts.threads(), Context: m.context, Rounded: opts.Activations != ActivationsF32, Integers: opts.Activations == ActivationsIntegers,
		KV: opts.KV, WeightCache: place.weightCache, FullWindows: opts.FullWindows, Compat: opts.Compat, Layers: opts.Layers, Ledger: place.ledger, ExpertRAM: place.experts,
	})
	if err != nil {
		return nil, fmt.Errorf("runtime: %w", err)
	}
	m.tokenizer = sync.OnceValues(func() (*token.Tokenizer, error) { return token.New(md) })
	return m, nil
}

// log writes the ledger's lines, and a warning about a context that the model was not trained for.
func (o Options) log(ledger *offload.Ledger, context, trained int) {
	if o.Log == nil {
		return
	}
	for _, line := range ledger.Lines() {
		o.Log(line)
	}
	if context > trained {
		o.Log(fmt.Sprintf("runtime: context of %d positions, the model was trained with %d", context, trained))
	}
}

// Close lets go of the model's memory. Neither it nor its sessions can be used afterwards.
func (m *Model) Close() error {
	if m.decoder == nil {
		return nil
	}
	err := m.decoder.Close()
	m.decoder = nil
	return err
}

// NeedsSource reports whether the source must stay open until Close: blocks are read one after the other, or weights are
// mapped or streamed.
func (m *Model) NeedsSource() bool { return m.decoder.NeedsSource() }

// Streamed is what the cache of streamed experts did so far; ok is false where none are.
func (m *Model) Streamed() (s offload.Stats, ok bool) { return m.decoder.Streamed() }

// VocabSize is the number of logits of a position.
func (m *Model) VocabSize() int { return m.decoder.Vocabulary() }

// ContextLength is the number of positions that a session holds.
func (m *Model) ContextLength() int { return m.context }

// Metadata is the source's.
func (m *Model) Metadata() *gguf.Metadata { return m.md }

// Tokenizer is the model's, made when first asked for; it fails on a vocabulary that is missing or not supported.
func (m *Model) Tokenizer() (*token.Tokenizer, error) { return m.tokenizer() }

// Ledger says where each tensor lives under Options.Placement.
func (m *Model) Ledger() *offload.Ledger { return m.ledger }

// Needs is what the model was counted to take of memory when it was loaded; nothing with Options.Layers.
func (m *Model) Needs() Needs { return m.needs }

// NewSession starts an empty text.
func (m *Model) NewSession() *Session { return &Session{m: m, state: m.decoder.NewState()} }

// ExpertReadRate measures how many bytes of streamed experts are read a second when nothing is computed.
func (m *Model) ExpertReadRate(ctx context.Context) (float64, error) {
	rate, err := m.decoder.ExpertReadRate(ctx)
	if err != nil {
		return 0, fmt.Errorf("runtime: %w", err)
	}
	return rate, nil
}
