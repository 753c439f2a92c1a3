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
	Blocks    int // that are run, dense ones counted
	Unused    int // blocks behind them, of multi-token prediction, that are not
	Context   int // trained context length
	Embedding int
	FFN       int // width of a dense feed-forward network; 0 where there is none

	Attention
	Routing
	Rope Rope

	Epsilon                             float32
	EmbeddingScale, Residual, LogitsDiv float32 // factors of embeddings and of what layers add, divisor of logits
	LogitsBound                         float32 // logits approach it; 0: none
	Conv                                int     // positions that a short convolution sees
	Delta                               Delta
	Mamba                               Mamba
	Graph                               family.Graph
	Original                            family.Original // with CompatHF
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
	p := Params{Arch: arch, Graph: *f.Graph, Blocks: r.size("block_count"), Unused: r.count("nextn_predict_layers"),
		Context: r.size("context_length"), Embedding: r.size("embedding_length"), FFN: r.most("feed_forward_length", 0),
		Conv:           r.optional("shortconv.l_cache", 0),
		EmbeddingScale: float32(r.factor("embedding_scale")), Residual: float32(r.factor("residual_scale")), LogitsDiv: float32(r.factor("logit_scale"))}
	epsilon := "attention.layer_norm_rms_epsilon"
	if p.Graph.Norm == family.LayerNorm {
		epsilon = "attention.layer_norm_epsilon"
	}
	p.Epsilon = float32(r.float(epsilon, math.NaN()))
	if p.Graph.EmbedScale {
		p.EmbeddingScale = float32(math.Sqrt(float64(p.Embedding)))
	}
	if p.Graph.GatedQuery { // as gated delta nets have it beside them
		p.Delta = Delta{KeyHeads: r.size("ssm.group_count"), Heads: r.size("ssm.time_step_rank"), Dim: r.size("ssm.state_size"), Conv: r.size("ssm.conv_kernel")}
	}
	if r.has("ssm.inner_size") && !p.Graph.GatedQuery {
		p.Mamba = Mamba{Inner: r.size("ssm.inner_size"), State: r.size("ssm.state_size"), Heads: r.size("ssm.time_step_rank"),
			Groups: r.optional("ssm.group_count", 1), Conv: r.size("ssm.conv_kernel")}
	}
	if r.has("final_logit_softcapping") {
		p.LogitsBound = float32(r.float("final_logit_softcapping", 0))
	}
	p.readAttention(r)
	p.readRouting(r)
	p.readRope(r)
	if err := errors.Join(r.errs...); err != nil {
		return Params{}, fmt.Errorf("nn: %w", err)
	}
	if p.Unused >= p.Blocks {
		return Params{}, fmt.Errorf("nn: %d of %d blocks predict further tokens", p.Unused, p.Blocks)
	}
	p.Blocks -= p.Unused
	if d := p.Delta; d.Heads > 0 && (d.Heads%d.KeyHeads != 0 || d.Heads > maxDim/d.Dim) {
		return Params{}, fmt.Errorf("nn: %d heads of %d elements for %d keys of gated delta nets", d.Heads, d.Dim, d.KeyHeads)
	}
	return p, errors.Join(p.checkAttention(), p.checkRouting())
}
