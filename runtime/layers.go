package runtime

import (
	"context"
	"errors"
	"fmt"

	"github.com/moeconv/moeconv/runtime/nn"
)

// LayerText is a text that RunLayers runs.
type LayerText = nn.Text

// LayerRun is texts that have been carried through all blocks of a model.
type LayerRun struct{ layers *nn.Layers }

// hiddenBytes is how much of texts' hidden states is kept in memory; more lies in a temporary file.
const hiddenBytes = 512 << 20

// Layered reports whether the model was loaded with Options.Layers.
func (m *Model) Layered() bool { return m.layered }

// RunLayers carries texts through the model block by block: each weight is read once for all of them. The model must have
// been loaded with Options.Layers, and its source must still be open.
func (m *Model) RunLayers(ctx context.Context, texts []LayerText, done func(blocks, total int64)) (*LayerRun, error) {
	if !m.layered {
		return nil, errors.New("runtime: the model was not loaded to be run by layers")
	}
	for _, t := range texts {
		if len(t.Tokens) > m.context {
			return nil, &ContextError{0, len(t.Tokens), m.context}
		}
		for i, id := range t.Tokens {
			if id < 0 || int(id) >= m.VocabSize() {
				return nil, fmt.Errorf("runtime: token %d is %d, the vocabulary has %d", i, id, m.VocabSize())
			}
		}
	}
	l, err := m.decoder.RunLayers(ctx, texts, m.hidden, func(b, total int) {
		if done != nil {
			done(int64(b), int64(total))
		}
	})
	if err != nil {
		return nil, fmt.Errorf("runtime: %w", err)
	}
	return &LayerRun{l}, nil
}

// Logits is those of positions from to to-1 of text i.
func (r *LayerRun) Logits(i, from, to int) ([][]float32, error) {
	logits, err := r.layers.Logits(i, from, to, nil)
	if err != nil {
		return nil, fmt.Errorf("runtime: %w", err)
	}
	return logits, nil
}

// Hidden is the hidden states of text i after the last block, [position][embedding].
func (r *LayerRun) Hidden(i int) ([]float32, error) {
	x, err := r.layers.Hidden(i)
	if err != nil {
		return nil, fmt.Errorf("runtime: %w", err)
	}
	return x, nil
}

// Routes counts how often each block's experts were chosen, as Output.Routes does.
func (r *LayerRun) Routes() [][]int64 { return r.layers.Routes }
