package quantize

import (
	"errors"
	"fmt"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/gguf/names"
)

// Assignment is the outcome of a scheme on one model: which type every tensor gets.
type Assignment struct {
	Order     []int       // indices into the source's tensors, in llama-quantize's order or Options.Order
	Types     []gguf.Type // of the tensors in that order
	Fallbacks []Fallback  // in that order too
	// Importance names the tensors that the reference encodes only with an importance matrix.
	Importance []string
	Matches    []Match // of Options.TensorTypes, rule by rule
}

// Assign chooses the type of every tensor, in llama-quantize's order, which its counters depend on.
// It looks at names, shapes and types only. It fails when the metadata lacks what the rules need,
// when a rule of o.TensorTypes matches nothing, and when a type fits a tensor in no way.
func Assign(md *gguf.Metadata, ts []gguf.TensorInfo, s Scheme, o Options) (Assignment, error) {
	m, err := readModel(overridden(md, o.KV), ts, o.CountTensors)
	if err != nil && !s.Copy {
		return Assignment{}, err
	}
	return assign(m, ts, s, o)
}

func assign(m model, ts []gguf.TensorInfo, s Scheme, o Options) (Assignment, error) {
	a, err := newAssigner(m, ts, s, o)
	if err != nil {
		return Assignment{}, err
	}
	out := Assignment{Order: o.Order, Types: make([]gguf.Type, 0, len(ts))}
	if out.Order == nil {
		out.Order = Order(ts)
	}
	for _, i := range out.Order {
		t := ts[i]
		want, got, err := a.choose(t)
		if err == nil {
			_, err = got.RowBytes(t.Shape.NE(0))
		}
		if err != nil {
			return Assignment{}, fmt.Errorf("quantize: tensor %q: %w", t.Name, err)
		}
		if got != want {
			out.Fallbacks = append(out.Fallbacks, Fallback{Tensor: t.Name, Columns: t.Shape.NE(0), Want: want, Got: got})
		}
		if got != t.Type && requiresImportance(t.Name, got, s) {
			out.Importance = append(out.Importance, t.Name)
		}
		out.Types = append(out.Types, got)
	}
	for _, r := range a.rules {
		out.Matches = append(out.Matches, r.Match)
	}
	return out, a.unmatched()
}

// assigner carries the state of one pass over the tensors.
type assigner struct {
	model
	scheme  Scheme
	options Options
	mix     Policy
	rules   []rule
	tied    bool
	vlike   int
	seen    map[Category]int // tensors so far per kind, V-like ones under AttnV
}

type rule struct {
	Match
	matches func(name string) bool
}

func newAssigner(m model, ts []gguf.TensorInfo, s Scheme, o Options) (*assigner, error) {
	a := &assigner{model: m, scheme: s, options: o, mix: o.Mix, tied: true, seen: map[Category]int{}}
	if a.mix == nil {
		a.mix = Llama
	}
	for _, forced := range []*gguf.Type{o.OutputTensorType, o.TokenEmbeddingType} {
		if forced != nil && !forced.Known() {
			return nil, fmt.Errorf("quantize: %v is no type", *forced)
		}
	}
	for _, ov := range o.TensorTypes {
		if !ov.Type.Known() {
			return nil, fmt.Errorf("quantize: tensor type %s=%v: no such type", ov.Pattern, ov.Type)
		}
		matches, err := ov.matcher()
		if err != nil {
			return nil, err
		}
		a.rules = append(a.rules, rule{Match{Override: ov}, matches})
	}
	for _, t := range ts {
		c := CategoryOf(t.Name)
		if c.VLike() {
			a.vlike++
		}
		if c == Output {
			a.tied = false
		}
	}
	return a, nil
}

// choose is the type that rules want for a tensor, and the one it gets: where rows do not divide
// into blocks, another. Forced types of the output and the token embedding are never replaced.
func (a *assigner) choose(t gguf.TensorInfo) (want, got gguf.Type, err error) {
	if a.scheme.Copy || !quantizable(a.arch, t, a.options.LeaveOutputTensor) {
		return t.Type, t.Type, nil
	}
	forced := a.match(t.Name)
	c := CategoryOf(t.Name)
	if o := a.options.TokenEmbeddingType; o != nil && c == TokenEmbedding && (t.Name != layerEmbdName || forced == nil) {
		return *o, *o, nil
	}
	if o := a.options.OutputTensorType; o != nil && c == Output {
		return *o, *o, nil
	}
	if a.options.KeepNative && forced == nil && native(t) {
		a.count(c)
		return t.Type, t.Type, nil
	}
	want = a.scheme.Base
	if !want.Quantized() {
		return want, want, nil
	}
	switch {
	case forced != nil:
		forced.Decided++
		want = forced.Type
	case !a.options.Pure:
		if want, err = a.mixed(t, c); err != nil {
			return 0, 0, err
		}
	}
	got, err = fit(want, t.Shape.NE(0))
	return want, got, err
}

// native reports whether a tensor holds routed experts in the four bits they were trained in.
func native(t gguf.TensorInfo) bool {
	return t.Type == gguf.MXFP4 && names.ClassOf(t.Name) == names.RoutedExpert
}

// count is the running number of a tensor among those of its kind.
func (a *assigner) count(c Category) int {
	if c.VLike() {
		c = AttnV
	}
	i := a.seen[c]
	a.seen[c]++
	return i
}

// mixed asks the policy and counts the tensor.
func (a *assigner) mixed(t gguf.TensorInfo, c Category) (gguf.Type, error) {
	block := blockOf(t.Name)
	// The reference stops here too: among experts it tells layers by name.
	byBlock := c.feedForward() && a.experts > 1 && !low(a.scheme.FileType) && a.scheme.FileType != ftMXFP4MoE
	if byBlock && !a.options.CountTensors && (block < 0 || block >= a.blocks) {
		return 0, fmt.Errorf("block %d of %d: the scheme's rules need a block that exists", block, a.blocks)
	}
	i := a.count(c)
	return a.mix(Target{
		Scheme: a.scheme, Tensor: t, Category: c, Block: block, Index: i,
		Arch: a.arch, Blocks: a.blocks, VLike: a.vlike, Experts: a.experts, GQA: a.gqa, Is70B: a.is70B,
		TiedOutput: a.tied, Imatrix: a.options.Imatrix.Len() > 0,
		OutputTensorType: a.options.OutputTensorType, TokenEmbeddingType: a.options.TokenEmbeddingType,
	}), nil
}

// match is the first rule that matches, nil if none does. Every matching rule counts the tensor.
func (a *assigner) match(name string) *rule {
	var first *rule
	for i := range a.rules {
		r := &a.rules[i]
		if !r.matches(name) {
			continue
		}
		r.Tensors++
		if first == nil {
			first = r
		}
	}
	return first
}

// unmatched is an error that names every rule without a tensor.
func (a *assigner) unmatched() error {
	var errs []error
	for _, r := range a.rules {
		if r.Tensors == 0 && !a.scheme.Copy {
			errs = append(errs, fmt.Errorf("tensor type %s=%v matches no tensor that %v may quantize", r.Pattern, r.Type, a.scheme))
		}
	}
	if len(errs) == 0 {
		return nil
	}
	return fmt.Errorf("quantize: %w", errors.Join(errs...))
}

// requiresImportance reports whether the reference refuses to encode the tensor in that type without an importance matrix.
func requiresImportance(name string, t gguf.Type, s Scheme) bool {
	if isTokenEmbedding(name) || name == outputName {
		return false
	}
	switch t {
	case gguf.IQ3_XXS, gguf.IQ2_XXS, gguf.IQ2_XS, gguf.IQ2_S, gguf.IQ1_M, gguf.IQ1_S:
		return true
	case gguf.Q2_K:
		return s.FileType == ftQ2_K_S
	}
	return false
}
