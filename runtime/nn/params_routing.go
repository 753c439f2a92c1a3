package nn

import (
	"fmt"
	"math"

	"github.com/moeconv/moeconv/convert/family"
	"github.com/moeconv/moeconv/gguf"
)

// Routing is the sizes and constants of mixtures of experts.
type Routing struct {
	Experts      int // routed experts a block; 0: all blocks are dense
	Used         int // experts used for a token
	ExpertFFN    int // width of a routed expert
	Groups       int // experts are chosen from GroupsUsed groups of so many; 0 or 1: from all
	GroupsUsed   int
	Gate         family.GatingFunc
	Normalize    bool    // the used experts' weights are divided by their sum
	WeightScale  float32 // of the experts' weights
	ChunkExperts int     // experts that share a chunk expert (GroveMoE), whose result is scaled
	ChunkScale   float32
}

func (p *Params) readRouting(r *reader) {
	p.Gate, p.Normalize, p.WeightScale = p.Graph.Gate, p.Graph.NormalizeWeights, 1
	if p.Experts = r.count("expert_count"); p.Experts == 0 {
		return
	}
	p.Used = r.size("expert_used_count")
	p.ExpertFFN = r.most("expert_feed_forward_length", p.FFN)
	p.Groups, p.GroupsUsed = r.count("expert_group_count"), r.count("expert_group_used_count")
	if n := r.count("expert_gating_func"); p.Graph.FromFile&family.KeyedGate != 0 && n > 0 {
		p.Gate = family.GatingFunc(min(n, 255))
	}
	if p.ChunkExperts = r.optional("experts_per_group", 0); p.ChunkExperts > 0 {
		p.ChunkScale = float32(r.float("expert_group_scale", math.NaN()))
	}
	if p.Graph.FromFile&family.KeyedNorm != 0 {
		p.Normalize = r.truth("expert_weights_norm", p.Normalize)
	}
	if p.Graph.FromFile&family.KeyedScale != 0 {
		p.WeightScale = float32(r.factor("expert_weights_scale"))
	}
}

func (p *Params) checkRouting() error {
	switch {
	case p.Experts == 0:
		return nil
	case p.Used > p.Experts:
		return fmt.Errorf("nn: %d experts used of %d", p.Used, p.Experts)
	case p.Gate < family.Softmax || p.Gate > family.SoftmaxUsed:
		return &gguf.UnsupportedError{Msg: fmt.Sprintf("nn: expert gating function %d cannot be run", p.Gate)}
	case p.ChunkExperts > 0 && p.Experts%p.ChunkExperts != 0:
		return fmt.Errorf("nn: %d experts share chunk experts by %d", p.Experts, p.ChunkExperts)
	case p.Groups <= 1:
		return nil
	case p.Experts%p.Groups != 0 || p.Experts/p.Groups < 2 || p.GroupsUsed < 1 || p.GroupsUsed > p.Groups || p.Used > p.GroupsUsed*(p.Experts/p.Groups):
		return fmt.Errorf("nn: %d experts used of %d in %d of %d groups", p.Used, p.Experts, p.GroupsUsed, p.Groups)
	}
	return nil
}
