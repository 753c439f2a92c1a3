package nn

import (
	"errors"
	"strings"
	"testing"

	"github.com/moeconv/moeconv/gguf"
)

// routed is metadata of a dots1 model with the keys of routing.
func routed() *gguf.Metadata {
	md := &gguf.Metadata{}
	md.Set("general.architecture", "dots1")
	for key, v := range map[string]any{
		"block_count": uint32(2), "context_length": uint32(64), "embedding_length": uint32(64), "attention.head_count": uint32(4),
		"attention.layer_norm_rms_epsilon": float32(1e-5), "expert_count": uint32(8), "expert_used_count": uint32(3),
		"expert_group_count": uint32(4), "expert_group_used_count": uint32(2), "expert_gating_func": uint32(2),
		"expert_weights_norm": true, "expert_weights_scale": float32(2.5),
	} {
		md.Set("dots1."+key, v)
	}
	return md
}

// TestReadRouting: what the keys say counts, and what cannot be run is refused by name.
func TestReadRouting(t *testing.T) {
	p, err := ReadParams(routed())
	if err != nil {
		t.Fatal(err)
	}
	want := Routing{Experts: 8, Used: 3, Groups: 4, GroupsUsed: 2, Gate: 2, Normalize: true, WeightScale: 2.5}
	if p.Routing != want {
		t.Errorf("%+v, want %+v", p.Routing, want)
	}
	for _, c := range []struct {
		key   string
		v     any
		want  string
		unsup bool
	}{
		{"expert_gating_func", uint32(4), "gating function 4", true},
		{"expert_gating_func", uint32(1000), "gating function 255", true},
		{"expert_group_count", uint32(3), "3 groups", false},
		{"expert_group_count", uint32(8), "8 groups", false}, // a group's two best would be more than it has
		{"expert_group_used_count", uint32(5), "5 of 4 groups", false},
		{"expert_group_used_count", uint32(0), "0 of 4 groups", false},
		{"expert_used_count", uint32(5), "5 experts used", false}, // more than two groups have
		{"expert_weights_norm", uint32(1), "expert_weights_norm", false},
		{"nextn_predict_layers", uint32(2), "2 of 2 blocks", false},
		{"rope.scaling.type", "ntk", "ntk", true},
		{"attention.kv_lora_rank", uint32(32), "latent", false},
	} {
		md := routed()
		md.Set("dots1."+c.key, c.v)
		_, err := ReadParams(md)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %v: error %v, want one with %q", c.key, c.v, err, c.want)
			continue
		}
		var unsupported *gguf.UnsupportedError
		if errors.As(err, &unsupported) != c.unsup {
			t.Errorf("%s %v: error %v: unsupported is %v", c.key, c.v, err, !c.unsup)
		}
	}
}

// TestMaskGroups: the groups whose two best are best stay, whatever their single best.
func TestMaskGroups(t *testing.T) {
	score := []float32{9, 0, 0, 5, 5, 1, 4, 4, 4}
	maskGroups(score, 3, 1)
	chosen := make([]int, 2)
	if top(score, chosen); chosen[0] != 3 || chosen[1] != 4 {
		t.Errorf("chosen %v", chosen)
	}
}
