// Package expert finds the routed experts of a mixture-of-experts model in its
// tensors, marks them in the metadata and reads the marks. It believes tensors,
// not names of models: what it reports is there.
package expert

import (
	"errors"
	"fmt"
	"regexp"
	"slices"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/gguf/names"
)

// ErrNone says that a model has no routed experts: a dense model, or not a model at all.
var ErrNone = errors.New("expert: the model has no routed experts")

// Summary says what routed and shared experts a model has.
type Summary struct {
	Count       int      `json:"count"`                  // experts in a layer
	Used        int      `json:"used"`                   // experts a token is routed to; 0 where the metadata do not say
	Tensors     int      `json:"tensors"`                // len(Names)
	Bytes       int64    `json:"bytes"`                  // encoded bytes of Names
	Layers      []int    `json:"layers"`                 // layers that have routed experts, ascending
	Names       []string `json:"names"`                  // tensors that hold routed experts, in file order
	Shared      []string `json:"shared_names,omitempty"` // tensors of shared experts, in file order
	SharedBytes int64    `json:"shared_bytes"`           // encoded bytes of Shared
}

// legacyName is a tensor that holds one expert, as files had it before experts were stacked.
var legacyName = regexp.MustCompile(`(^|\.)ffn_(gate|up|down)\.[0-9]+\.(weight|bias)$`)

// Find reports the experts of a model from its metadata and tensors. A model
// without routed experts has an empty Summary and no error. Find fails, naming
// layer or tensor, where experts are incomplete or disagree with
// the metadata's expert_count (gguf.Metadata.ModelKey), and with a *gguf.UnsupportedError on the old form of one
// tensor per expert.
func Find(md *gguf.Metadata, ts []gguf.TensorInfo) (Summary, error) {
	f := finder{layers: map[int]*layer{}}
	for _, t := range ts {
		if legacyName.MatchString(t.Name) {
			return Summary{}, &gguf.UnsupportedError{Msg: fmt.Sprintf("expert: tensor %q holds a single expert (files from before experts were stacked): "+
				"such files cannot be tagged and llama.cpp no longer loads them; convert the checkpoint again to get blk.N.ffn_gate_exps.weight", t.Name)}
		}
		if err := f.add(t); err != nil {
			return Summary{}, err
		}
	}
	if err := f.counts(md); err != nil {
		return Summary{}, err
	}
	if err := f.complete(); err != nil {
		return Summary{}, err
	}
	return f.sum, nil
}

// layer is what one block has of each role.
type layer struct {
	roles  map[names.Role]bool // with suffix weight
	router bool
}

type finder struct {
	sum    Summary
	layers map[int]*layer
	gated  bool // some layer has a gate
	ref    string
}

// add takes in one tensor.
func (f *finder) add(t gguf.TensorInfo) error {
	n := names.Parse(t.Name)
	switch n.Role.Class() {
	case names.SharedExpert:
		f.sum.Shared = append(f.sum.Shared, t.Name)
		f.sum.SharedBytes += t.Bytes()
	case names.Router:
		if n.Block >= 0 {
			f.layer(n.Block).router = true
		}
	case names.RoutedExpert:
		return f.addRouted(t, n)
	}
	return nil
}

func (f *finder) layer(block int) *layer {
	l := f.layers[block]
	if l == nil {
		l = &layer{roles: map[names.Role]bool{}}
		f.layers[block] = l
	}
	return l
}

func (f *finder) addRouted(t gguf.TensorInfo, n names.Name) error {
	if n.Block < 0 {
		return fmt.Errorf("expert: tensor %q holds experts of no layer", t.Name)
	}
	if n.Suffix == "weight" {
		f.layer(n.Block).roles[n.Role] = true
		f.gated = f.gated || n.Role == names.FFNGateExps || n.Role == names.FFNGateUpExps
	}
	f.sum.Names = append(f.sum.Names, t.Name)
	f.sum.Tensors++
	f.sum.Bytes += t.Bytes()
	if !slices.Contains(f.sum.Layers, n.Block) {
		f.sum.Layers = append(f.sum.Layers, n.Block)
	}
	if chunked(n.Role) {
		return nil // holds groups of experts, not experts
	}
	count := stacked(t, n.Suffix)
	if f.ref == "" {
		f.sum.Count, f.ref = int(count), t.Name
	}
	if count != int64(f.sum.Count) {
		return fmt.Errorf("expert: tensor %q of shape %v stacks %d experts, %q stacks %d", t.Name, t.Shape, count, f.ref, f.sum.Count)
	}
	return nil
}

// chunked reports whether the role holds GroveMoE's adjugate experts, of which there are fewer than experts.
func chunked(r names.Role) bool {
	switch r {
	case "ffn_gate_chexps", "ffn_up_chexps", "ffn_down_chexps":
		return true
	}
	return false
}

// stacked is the number of experts in a tensor, which is its outermost dimension: {in, out, n} weights, {out, n} biases, {n} scales.
func stacked(t gguf.TensorInfo, suffix string) int64 {
	switch suffix {
	case "weight":
		return t.Shape.NE(2)
	case "bias":
		return t.Shape.NE(1)
	}
	return t.Shape.NE(max(0, len(t.Shape)-1))
}

// counts compares what the tensors hold with what the metadata say.
func (f *finder) counts(md *gguf.Metadata) error {
	count, err := optional(md, "expert_count")
	if err != nil {
		return err
	}
	used, err := optional(md, "expert_used_count")
	if err != nil {
		return err
	}
	key := md.ModelKey("expert_count")
	switch {
	case len(f.sum.Names) == 0 && count > 0:
		return fmt.Errorf("expert: %s is %d but no tensor holds routed experts (blk.N.ffn_*_exps)", key, count)
	case len(f.sum.Names) == 0:
		f.sum = Summary{}
		return nil
	case count != 0 && count != int64(f.sum.Count):
		return fmt.Errorf("expert: %s is %d but tensor %q stacks %d experts", key, count, f.ref, f.sum.Count)
	case f.sum.Count == 0:
		return fmt.Errorf("expert: tensor %q without the experts it belongs to", f.sum.Names[0])
	case used < 0 || used > int64(f.sum.Count):
		return fmt.Errorf("expert: %s is %d of %d experts", md.ModelKey("expert_used_count"), used, f.sum.Count)
	}
	f.sum.Used = int(used)
	return nil
}

// optional is an integer among the model's parameters, 0 when it is missing.
func optional(md *gguf.Metadata, key string) (int64, error) {
	n, err := md.Int(md.ModelKey(key))
	var missing *gguf.KeyError
	if errors.As(err, &missing) && missing.Got == "" {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("expert: %w", err)
	}
	return n, nil
}

// complete fails on a layer that lacks one of its expert tensors.
func (f *finder) complete() error {
	slices.Sort(f.sum.Layers)
	if len(f.sum.Layers) == 0 {
		return nil
	}
	blocks := make([]int, 0, len(f.layers))
	for b := range f.layers {
		blocks = append(blocks, b)
	}
	slices.Sort(blocks)
	for _, b := range blocks {
		l := f.layers[b]
		fused := l.roles[names.FFNGateUpExps]
		for _, need := range []struct {
			role names.Role
			ok   bool
		}{
			{names.FFNUpExps, fused || l.roles[names.FFNUpExps]},
			{names.FFNGateExps, fused || !f.gated || l.roles[names.FFNGateExps]},
			{names.FFNDownExps, l.roles[names.FFNDownExps]},
		} {
			if !need.ok {
				return fmt.Errorf("expert: layer %d: tensor %q is missing (%s)", b, need.role.In(b), l.have())
			}
		}
	}
	return nil
}

// have says what a layer has, for the message on what it lacks.
func (l *layer) have() string {
	if len(l.roles) == 0 {
		return "the layer has a router only"
	}
	var have []string
	for r := range l.roles {
		have = append(have, string(r))
	}
	slices.Sort(have)
	return fmt.Sprintf("the layer has %v", have)
}
