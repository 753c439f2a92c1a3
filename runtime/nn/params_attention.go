package nn

import (
	"fmt"
	"math"

	"github.com/moeconv/moeconv/convert/family"
	"github.com/moeconv/moeconv/gguf"
)

// Attention is the sizes and constants of self-attention.
type Attention struct {
	Heads            int
	KVHeads          int   // the largest number of a block's
	KVOf             []int // by block; nil: KVHeads in all
	HeadDim          int   // of keys and queries, as they are cached
	ValueDim         int
	KeySWA, ValueSWA int // the same in blocks with a window
	Latent           Latent
	Scale            float32 // of products of queries and keys
	Clamp            float32 // bound of queries, keys and values; 0: none
	Window           int     // positions of a window; 0: no block has one
	Full             []bool  // by block, where windows do not follow Graph.Windows.Every; else nil
	Tune             family.Tuning
}

// Latent is the sizes of latent attention (MLA): keys and values are made from a short vector. Rank 0: there is none.
type Latent struct {
	Rank     int // elements of that vector
	QRank    int // of that from which queries are made; 0: they are made directly
	KeyDim   int // of a head's queries and keys, rotated elements included
	ValueDim int // of a head's values
}

// kvHeads is the number of key-value heads of a block.
func (a Attention) kvHeads(block int) int {
	if block < len(a.KVOf) {
		return a.KVOf[block]
	}
	return a.KVHeads
}

// keyDim and valueDim are the sizes of a block's heads.
func (p *Params) keyDim(block int) int {
	if p.windowed(block) {
		return p.KeySWA
	}
	return p.HeadDim
}

func (p *Params) valueDim(block int) int {
	if p.windowed(block) {
		return p.ValueSWA
	}
	return p.ValueDim
}

func (p *Params) readAttention(r *reader) {
	p.Heads = r.most("attention.head_count", 0)
	if p.Heads == 0 && !r.has("attention.head_count") {
		r.size("attention.head_count") // the error
	}
	p.KVOf = r.list("attention.head_count_kv")
	p.KVHeads = r.most("attention.head_count_kv", p.Heads)
	p.HeadDim = r.optional("attention.key_length", p.Embedding/max(1, p.Heads))
	p.ValueDim = r.optional("attention.value_length", p.Embedding/max(1, p.Heads))
	p.KeySWA = r.optional("attention.key_length_swa", p.HeadDim)
	p.ValueSWA = r.optional("attention.value_length_swa", p.ValueDim)
	if p.Latent.Rank = r.optional("attention.kv_lora_rank", 0); p.Latent.Rank > 0 {
		p.Latent.QRank = r.optional("attention.q_lora_rank", 0)
		p.Latent.KeyDim = r.optional("attention.key_length_mla", p.HeadDim)
		p.Latent.ValueDim = r.optional("attention.value_length_mla", p.ValueDim)
	}
	dim := p.HeadDim
	if p.Latent.Rank > 0 {
		dim = p.Latent.KeyDim
	}
	p.Scale = float32(1 / math.Sqrt(float64(dim)))
	if v, ok := r.md.Get(r.md.ArchKey("attention.scale")); ok && v != float32(0) {
		p.Scale = float32(r.float("attention.scale", 1))
	}
	if p.Graph.Unscaled {
		p.Scale = 1
	}
	p.Clamp = float32(r.factor("attention.clamp_kqv"))
	if !r.has("attention.clamp_kqv") {
		p.Clamp = 0
	}
	if p.Graph.QKNorm == family.QKNormPlain && r.count("expert_count") == 128 {
		p.Graph.QKNorm = family.QKNormFirst // llama4.cpp knows Maverick, which has none, by its experts
	}
	p.readWindows(r)
	p.Tune = p.Graph.Tune
	if p.Tune.FromFile && r.has("attention.temperature_scale") {
		p.Tune.Scale = float32(r.float("attention.temperature_scale", 1))
		p.Tune.Length = r.size("attention.temperature_length")
	}
}

func (p *Params) readWindows(r *reader) {
	w := p.Graph.Windows
	switch {
	case w.Kind == family.WindowNone:
		return
	case w.Size > 0:
		p.Window = w.Size
	default:
		p.Window = r.count("attention.sliding_window")
	}
	const pattern = "attention.sliding_window_pattern"
	if list := r.list(pattern); list != nil {
		for _, windowed := range list {
			p.Full = append(p.Full, windowed == 0)
		}
	} else if r.has(pattern) {
		p.Graph.Windows.Every, _ = r.number(pattern)
	}
}

// windowed reports whether a block attends to a part of the text only.
func (p *Params) windowed(block int) bool {
	if p.Window == 0 {
		return false
	}
	if p.Full != nil {
		return block < len(p.Full) && !p.Full[block]
	}
	every := p.Graph.Windows.Every
	return every == 0 || block%every < every-1
}

// rotated reports whether a block's queries and keys are.
func (p *Params) rotated(block int) bool {
	every := p.Graph.NoRopeEvery
	return p.Graph.Rope != family.RopeNone && (every == 0 || (block+1)%every != 0)
}

func (p *Params) checkAttention() error {
	if p.KVHeads == 0 {
		return fmt.Errorf("nn: no block has key-value heads")
	}
	for i := range p.Blocks {
		if kv := p.kvHeads(i); kv > 0 && p.Heads%kv != 0 {
			return fmt.Errorf("nn: %d attention heads for %d key-value heads", p.Heads, kv)
		}
	}
	l := p.Latent
	switch {
	case p.KVOf != nil && len(p.KVOf) < p.Blocks:
		return fmt.Errorf("nn: key-value heads of %d blocks, there are %d", len(p.KVOf), p.Blocks)
	case p.HeadDim < 1 || p.ValueDim < 1:
		return fmt.Errorf("nn: %d attention heads in an embedding of %d", p.Heads, p.Embedding)
	case p.KeySWA > p.HeadDim || p.ValueSWA > p.ValueDim:
		return &gguf.UnsupportedError{Msg: fmt.Sprintf("nn: heads of %d and %d elements in blocks with a window, more than the %d and %d of others", p.KeySWA, p.ValueSWA, p.HeadDim, p.ValueDim)}
	case p.Heads > maxDim/max(p.HeadDim, p.ValueDim, l.KeyDim, l.ValueDim):
		return fmt.Errorf("nn: %d attention heads of %d", p.Heads, max(p.HeadDim, p.ValueDim, l.KeyDim, l.ValueDim))
	case l.Rank == 0:
		if p.Rope.Dims > p.HeadDim || p.Rope.Dims%2 != 0 {
			return fmt.Errorf("nn: rope over %d elements of heads of %d", p.Rope.Dims, p.HeadDim)
		}
		if p.Rope.DimsSWA > p.KeySWA || p.Rope.DimsSWA%2 != 0 {
			return fmt.Errorf("nn: rope over %d elements of heads of %d in blocks with a window", p.Rope.DimsSWA, p.KeySWA)
		}
	case p.Rope.Dims >= l.KeyDim || p.Rope.Dims%2 != 0:
		return fmt.Errorf("nn: rope over %d elements of latent heads of %d", p.Rope.Dims, l.KeyDim)
	case p.KVHeads != 1 || p.HeadDim != l.Rank+p.Rope.Dims || p.ValueDim != l.Rank:
		return &gguf.UnsupportedError{Msg: fmt.Sprintf("nn: latent attention of %d key-value heads of %d and %d elements, want 1 of %d and %d (a file in the form before b5000?)",
			p.KVHeads, p.HeadDim, p.ValueDim, l.Rank+p.Rope.Dims, l.Rank)}
	}
	return nil
}
