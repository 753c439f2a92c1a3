package nn

import (
	"fmt"
	"math"

	"github.com/moeconv/moeconv/convert/family"
	"github.com/moeconv/moeconv/gguf"
)

// Rope is the constants of rotary embedding.
type Rope struct {
	Dims          int     // elements of a head that are turned, the leading ones (of latent attention: the last ones)
	DimsSWA       int     // the same in blocks with a window
	Base, BaseSWA float64 // the latter in blocks with a window
	Scale         float64 // positions are multiplied by it
	Original      int     // context length before it was stretched
	Yarn          bool    // slow frequencies are scaled, fast ones are not
	Factor        float64 // of what was turned
}

// readRope follows llama_model_base::load_hparams and the constructor of llama_context.
func (p *Params) readRope(r *reader) {
	p.Rope = Rope{Scale: 1, Factor: 1}
	if p.Graph.Rope == family.RopeNone {
		return
	}
	t := &p.Rope
	t.Dims = r.optional("rope.dimension_count", p.HeadDim)
	t.DimsSWA = r.optional("rope.dimension_count_swa", t.Dims)
	t.Base = r.float("rope.freq_base", 10000)
	t.BaseSWA = r.float("rope.freq_base_swa", t.Base)
	t.Original = r.optional("rope.scaling.original_context_length", p.Context)
	t.Scale = 1 / r.factor("rope.scaling.factor")
	kind, _ := r.md.Get(r.md.ArchKey("rope.scaling.type"))
	switch kind {
	case nil, "linear", "longrope":
	case "none":
		t.Scale = 1
	case "yarn":
		t.Yarn = true
	default:
		r.errs = append(r.errs, &gguf.UnsupportedError{Msg: fmt.Sprintf("nn: rope scaling %v cannot be run", kind)})
	}
	p.readMagnitude(r)
}

// readMagnitude is by how much stretching the context scales attention. Of yarn it is 1 + 0.1*ln(stretch), unless
// the logarithm has a multiplier; latent attention scales its products by more (deepseek2.cpp).
func (p *Params) readMagnitude(r *reader) {
	t := &p.Rope
	log, multiplier := math.Log(1/t.Scale), 0.0
	if key := "rope.scaling.yarn_log_multiplier"; p.Latent.Rank > 0 && r.has(key) {
		multiplier = r.float(key, 0) / 0.1
	}
	magnitude := func(m float64) float64 { return 1 + 0.1*m*max(0, log) }
	switch {
	case !t.Yarn:
	case multiplier == 0:
		t.Factor = magnitude(1)
	case p.Arch != "deepseek2": // which takes one multiplier for both
		t.Factor = magnitude(1) / magnitude(multiplier)
	}
	t.Factor *= r.factor("rope.scaling.attn_factor")
	if p.Latent.Rank == 0 {
		return
	}
	scale := t.Factor * (1 + 0.1*multiplier*log)
	if !t.Yarn {
		scale *= 1 + 0.1*log
	}
	p.Scale *= float32(scale * scale)
}
