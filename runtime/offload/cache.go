package offload

import (
	"fmt"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/gguf/names"
)

// CacheOptions choose the cache of a context.
type CacheOptions struct {
	Context    int       // positions; llama.cpp rounds them up to 256
	Batch      int       // tokens computed at once (-ub)
	Key, Value gguf.Type // types of cached keys and values
	Windows    Windows
}

// Windows says which blocks attend to a part of the text only, as far as an architecture and not its files say so.
type Windows struct {
	On    bool // the architecture knows windows
	Every int  // all blocks but each Every-th have one, unless the file has a pattern; 0: all
	Size  int  // positions; 0: the file says it
}

// CacheKind is what a block keeps of the text before.
type CacheKind string

// The kinds of blocks that keep something.
const (
	CacheFull      CacheKind = "full"      // keys and values of all positions
	CacheWindow    CacheKind = "window"    // of a window and a batch
	CacheLatent    CacheKind = "latent"    // one short vector a position, from which both are made (MLA)
	CacheRecurrent CacheKind = "recurrent" // a state of fixed size
)

// CacheLayer is what one block keeps.
type CacheLayer struct {
	Block  int       `json:"block"`
	Kind   CacheKind `json:"kind"`
	Cells  int       `json:"cells,omitempty"` // positions
	Keys   int64     `json:"key_bytes,omitempty"`
	Values int64     `json:"value_bytes,omitempty"`
	States int64     `json:"state_bytes,omitempty"`
}

// Cache lists what the blocks of a model keep of one sequence; blocks that keep nothing are left out.
type Cache struct {
	Layers []CacheLayer
	Cells  int // of blocks without a window
	Window int // of blocks with one; 0: there are none
}

// Bytes is the size of the cache.
func (c Cache) Bytes() int64 {
	var n int64
	for _, l := range c.Layers {
		n += l.Keys + l.Values + l.States
	}
	return n
}

const (
	cellMultiple = 256     // to which llama.cpp pads contexts and windows
	maxContext   = 1 << 26 // so that no product overflows
	stateBytes   = 4       // states are float32
)

// NewCache sizes a context's cache for one sequence from metadata and tensors, as llama_kv_cache, its variant with
// windows and llama_memory_recurrent allocate it (n_seq_max 1, flash attention on). Models with an index of keys
// (DeepSeek V3.2) are a *gguf.UnsupportedError.
func NewCache(md *gguf.Metadata, tensors []gguf.TensorInfo, o CacheOptions) (Cache, error) {
	if o.Context < 1 || o.Context > maxContext || o.Batch < 1 || o.Batch > maxContext {
		return Cache{}, fmt.Errorf("offload: a context of %d positions in batches of %d: want 1 to %d", o.Context, o.Batch, maxContext)
	}
	m, err := newMixers(md, tensors, o.Windows)
	if err != nil {
		return Cache{}, err
	}
	c := Cache{Cells: padded(o.Context)}
	window := padded(min(c.Cells, m.window+o.Batch))
	for b := range m.blocks {
		if m.recurrent[b] {
			c.Layers = append(c.Layers, CacheLayer{Block: b, Kind: CacheRecurrent, States: m.state})
		}
		if !m.attends(b) {
			continue
		}
		l := CacheLayer{Block: b, Kind: CacheFull, Cells: c.Cells}
		d := m.dims
		switch {
		case m.latent:
			l.Kind = CacheLatent
		case m.windowed(b):
			l.Kind, l.Cells, d = CacheWindow, window, m.windowDims
			c.Window = window
		}
		if l.Keys, err = rows(o.Key, d.key*m.kv[b], l.Cells); err != nil {
			return Cache{}, err
		}
		if !m.latent { // values are a part of the keys
			if l.Values, err = rows(o.Value, d.value*m.kv[b], l.Cells); err != nil {
				return Cache{}, err
			}
		}
		c.Layers = append(c.Layers, l)
		if c.Bytes() > 1<<60 {
			return Cache{}, fmt.Errorf("offload: the cache of %d positions has more than %d bytes", o.Context, c.Bytes())
		}
	}
	return c, nil
}

func padded(n int) int { return (n + cellMultiple - 1) / cellMultiple * cellMultiple }

func rows(t gguf.Type, width int64, cells int) (int64, error) {
	n, err := t.RowBytes(width)
	if err != nil {
		return 0, fmt.Errorf("offload: cached rows of %d elements as %s: %w", width, t.GGMLName(), err)
	}
	return n * int64(cells), nil
}

// isRecurrent reports whether a role belongs to a block that keeps a state: linear attention, Mamba, short convolutions.
func isRecurrent(r names.Role) bool {
	return len(r) > 4 && r[:4] == "ssm_" || len(r) > 9 && r[:9] == "shortconv"
}
