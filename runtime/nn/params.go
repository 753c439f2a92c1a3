package nn

import (
	"errors"
	"fmt"
	"math"

	"github.com/moeconv/moeconv/convert/family"
	"github.com/moeconv/moeconv/gguf"
)

// maxDim bounds every size that metadata may claim, so that products of two cannot overflow.
// Memory is allocated for what the tensors hold, never for what metadata claims.
const maxDim = 1 << 24

// Params are a model's sizes and constants, in GGUF's words.
type Params struct {
	Arch      string
	Blocks    int // dense ones counted
	Context   int // trained context length
	Embedding int
	Heads     int
	KVHeads   int
	HeadDim   int
	RopeDims  int // leading elements of a head that rope turns
	FFN       int // width of a dense feed-forward network; 0 where there is none
	Experts   int // routed experts a block; 0: all blocks are dense
	Used      int // experts used for a token
	ExpertFFN int // width of a routed expert

	Epsilon     float32
	RopeBase    float64
	RopeScale   float64 // positions are multiplied by it
	WeightScale float32 // of the experts' weights
	Graph       family.Graph
}

// reader collects the errors of metadata look-ups.
type reader struct {
	md   *gguf.Metadata
	errs []error
}

// size is a required whole number of 1 to maxDim.
func (r *reader) size(key string) int {
	key = r.md.ArchKey(key)
	n, err := r.md.Int(key)
	if err != nil {
		r.errs = append(r.errs, err)
	} else if n < 1 || n > maxDim {
		r.errs = append(r.errs, fmt.Errorf("key %s is %d", key, n))
		n = 0
	}
	return int(n)
}

// optional is size, or def where the key is missing.
func (r *reader) optional(key string, def int) int {
	if _, ok := r.md.Get(r.md.ArchKey(key)); !ok {
		return def
	}
	return r.size(key)
}

// float is a number that must be finite and above 0; def where the key is missing (NaN: required).
func (r *reader) float(key string, def float64) float64 {
	key = r.md.ArchKey(key)
	v, ok := r.md.Get(key)
	if !ok && !math.IsNaN(def) {
		return def
	}
	f, isFloat := v.(float32)
	if d, is64 := v.(float64); is64 {
		f, isFloat = float32(d), true
	}
	switch {
	case !ok:
		r.errs = append(r.errs, &gguf.KeyError{Key: key})
	case !isFloat:
		r.errs = append(r.errs, &gguf.KeyError{Key: key, Got: fmt.Sprintf("%T", v), Want: "float32"})
	case !(f > 0) || math.IsInf(float64(f), 0):
		r.errs = append(r.errs, fmt.Errorf("key %s is %v", key, f))
	}
	return float64(f)
}

// ReadParams takes a model's sizes from its metadata. An architecture or a variant of one that the decoder does
// not have is a *gguf.UnsupportedError; other errors name the key.
func ReadParams(md *gguf.Metadata) (Params, error) {
	arch, err := md.Architecture()
	if err != nil {
		return Params{}, fmt.Errorf("nn: %w", err)
	}
	f, ok := family.ForArch(arch)
	if !ok || f.Graph == nil {
		return Params{}, &gguf.UnsupportedError{Msg: fmt.Sprintf("nn: architecture %q cannot be run", arch)}
	}
	r := &reader{md: md}
	p := Params{Arch: arch, Graph: *f.Graph,
		Blocks: r.size("block_count"), Context: r.size("context_length"), Embedding: r.size("embedding_length"),
		Heads: r.size("attention.head_count"), FFN: r.optional("feed_forward_length", 0),
		Epsilon: float32(r.float("attention.layer_norm_rms_epsilon", math.NaN())),
	}
	p.KVHeads = r.optional("attention.head_count_kv", p.Heads)
	p.HeadDim = r.optional("attention.key_length", p.Embedding/max(1, p.Heads))
	p.RopeDims = r.optional("rope.dimension_count", p.HeadDim)
	p.RopeBase = r.float("rope.freq_base", 10000)
	p.readExperts(r)
	if err := errors.Join(r.errs...); err != nil {
		return Params{}, fmt.Errorf("nn: %w", err)
	}
	if err := p.check(r.optional("attention.value_length", p.HeadDim)); err != nil {
		return Params{}, err
	}
	if err := p.readVariants(md); err != nil {
		return Params{}, err
	}
	return p, nil
}

func (p *Params) readExperts(r *reader) {
	p.WeightScale = 1
	key := r.md.ArchKey("expert_count")
	if n, err := r.md.Int(key); err == nil && n == 0 {
		return
	}
	if p.Experts = r.optional("expert_count", 0); p.Experts == 0 {
		return
	}
	p.Used = r.size("expert_used_count")
	p.ExpertFFN = r.optional("expert_feed_forward_length", p.FFN)
	if v, ok := r.md.Get(r.md.ArchKey("expert_weights_scale")); ok && v != float32(0) { // 0 switches it off
		p.WeightScale = float32(r.float("expert_weights_scale", 1))
	}
}

func (p *Params) check(valueDim int) error {
	switch {
	case p.Heads%p.KVHeads != 0:
		return fmt.Errorf("nn: %d attention heads for %d key-value heads", p.Heads, p.KVHeads)
	case p.HeadDim < 1:
		return fmt.Errorf("nn: %d attention heads in an embedding of %d", p.Heads, p.Embedding)
	case valueDim != p.HeadDim:
		return &gguf.UnsupportedError{Msg: fmt.Sprintf("nn: key length %d with value length %d", p.HeadDim, valueDim)}
	case p.RopeDims > p.HeadDim || p.RopeDims%2 != 0:
		return fmt.Errorf("nn: rope over %d elements of heads of %d", p.RopeDims, p.HeadDim)
	case p.Used > p.Experts:
		return fmt.Errorf("nn: %d experts used of %d", p.Used, p.Experts)
	case p.Heads > maxDim/p.HeadDim:
		return fmt.Errorf("nn: %d attention heads of %d", p.Heads, p.HeadDim)
	}
	return nil
}

// readVariants refuses what would change the graph.
func (p *Params) readVariants(md *gguf.Metadata) error {
	p.RopeScale = 1
	if v, ok := md.Get(md.ArchKey("rope.scaling.type")); ok {
		switch v {
		case "none":
		case "linear":
			r := &reader{md: md}
			p.RopeScale = 1 / r.float("rope.scaling.factor", 1)
			if len(r.errs) > 0 {
				return fmt.Errorf("nn: %w", r.errs[0])
			}
		default:
			return &gguf.UnsupportedError{Msg: fmt.Sprintf("nn: rope scaling %v cannot be run", v)}
		}
	}
	if p.Experts == 0 {
		return nil
	}
	const softmax = 1 // of llama.cpp's gating functions
	if v, err := md.Int(md.ArchKey("expert_gating_func")); err == nil && v != 0 && v != softmax {
		return &gguf.UnsupportedError{Msg: fmt.Sprintf("nn: expert gating function %d cannot be run", v)}
	}
	return nil
}
