package convert

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/moeconv/moeconv/convert/family"
	"github.com/moeconv/moeconv/gguf"
)

// output is one tensor of the file with what it is made from.
type output struct {
	info  gguf.TensorInfo
	rule  family.Rule // of this one tensor: a part where the rule splits
	srcs  []source    // one, or all experts
	from  []string    // tensors of the checkpoint; empty where config.json alone makes it
	view  view        // nil where the sources' shapes differ
	first bool
}

// gatherer sorts source tensors into output tensors, in the order in which the reference writes them:
// each where it is read, stacked experts where the last one of their block is read.
type gatherer struct {
	rules   []family.Rule
	matcher *family.Matcher
	blocks  int
	beyond  int // blocks after those that are left out
	outs    []output
	names   map[string]bool
	groups  map[groupKey]*group
	order   []groupKey
	last    int // highest block seen, -1 before any
}

type groupKey struct {
	name  string
	block int
}

// group is the experts of one block on the way to their stacks.
type group struct {
	rules   []int // in writing order
	experts int
	have    map[[2]int]source // by rule and expert
	done    bool
}

// gather sorts sources into tensors by the family's rules. Blocks from blocks on are left out, beyond of them.
func gather(rules []family.Rule, blocks, beyond int64, sources []source) (*gatherer, error) {
	if blocks > int64(len(sources)) {
		return nil, fmt.Errorf("convert: config.json: num_hidden_layers is %d, but the checkpoint has %d tensors in all", blocks, len(sources))
	}
	g := &gatherer{rules: rules, matcher: family.NewMatcher(rules), blocks: int(blocks), beyond: int(beyond),
		names: map[string]bool{}, groups: map[groupKey]*group{}, last: -1}
	for _, s := range sources {
		if err := g.add(s); err != nil {
			return nil, err
		}
	}
	if g.last+1 < g.blocks {
		return nil, &MissingLayersError{Layers: g.blocks, Last: g.last}
	}
	for _, k := range g.order {
		if err := g.complete(k); err != nil {
			return nil, err
		}
	}
	slices.SortStableFunc(g.outs, func(a, b output) int { return boolOrder(b.first) - boolOrder(a.first) })
	return g, nil
}

func boolOrder(b bool) int {
	if b {
		return 1
	}
	return 0
}

// dropped are ends and beginnings of names that no family needs: buffers, and parts of models that are not text.
var (
	droppedEnds   = []string{".attention.masked_bias", ".attention.bias", ".rotary_emb.inv_freq"}
	droppedStarts = []string{"mlp", "vit.", "vpm.", "siglip2.", "conformer.", "merger.", "resampler.", "sound_encoder.", "sound_projection.", "speech_embeddings."}
	droppedParts  = []string{"visual.", "vision.", "audio.", "talker.", "vision_", "audio_", "token2wav.", "code2wav.", "projector.", "pre_mm_projector_norm",
		"image_newline", "view_seperator", "patch_embed", "patch_merger.", "patch_merge_mlp.", "model.connector."}
)

func isDropped(name string) bool {
	return slices.ContainsFunc(droppedEnds, func(s string) bool { return strings.HasSuffix(name, s) }) ||
		slices.ContainsFunc(droppedStarts, func(s string) bool { return strings.HasPrefix(name, s) }) ||
		slices.ContainsFunc(droppedParts, func(s string) bool { return strings.Contains(name, s) })
}

func (g *gatherer) add(s source) error {
	if isDropped(s.name) {
		return nil
	}
	m, err := g.matcher.Match(s.name)
	if err != nil {
		var unknown *family.UnknownTensorError
		if errors.As(err, &unknown) {
			return &UnknownTensorError{Name: s.from[0]}
		}
		return fmt.Errorf("convert: %w", err)
	}
	rule := g.rules[m.Rule]
	if _, drop := rule.Op.(family.Drop); drop || m.Block >= g.blocks && m.Block < g.blocks+g.beyond {
		return nil
	}
	if m.Block >= g.blocks {
		return &ExtraLayerError{Source: s.from[0], Layer: m.Block, Layers: g.blocks, Beyond: g.beyond}
	}
	g.last = max(g.last, m.Block)
	if u, ok := s.view.(unreadable); ok {
		return u.err()
	}
	if stack, ok := stackOf(rule.Op); ok {
		return g.addExpert(s, m, stack)
	}
	return g.emit(m, []source{s})
}

// stackOf is the Stack of a rule's op.
func stackOf(o family.Op) (family.Stack, bool) {
	if first, ok := o.(family.First); ok {
		o = first.Op
	}
	s, ok := o.(family.Stack)
	return s, ok
}

func (g *gatherer) addExpert(s source, m family.Match, stack family.Stack) error {
	if int64(m.Expert) >= stack.Experts {
		return fmt.Errorf("convert: tensor %q: layer %d: expert %d is beyond the %d experts of config.json", s.from[0], m.Block, m.Expert, stack.Experts)
	}
	key := groupKey{stack.Group, m.Block}
	gr := g.groups[key]
	if gr == nil {
		gr = &group{rules: g.groupRules(stack.Group), experts: int(stack.Experts), have: map[[2]int]source{}}
		g.groups[key] = gr
		g.order = append(g.order, key)
	}
	gr.have[[2]int{m.Rule, m.Expert}] = s
	if len(gr.have) < len(gr.rules)*gr.experts {
		return nil
	}
	gr.done = true
	for _, r := range gr.rules {
		srcs := make([]source, gr.experts)
		for x := range srcs {
			srcs[x] = gr.have[[2]int{r, x}]
		}
		m.Rule = r
		if err := g.emit(m, srcs); err != nil {
			return err
		}
	}
	return nil
}

// groupRules are the indices of the rules whose stacks are written together.
func (g *gatherer) groupRules(name string) []int {
	var out []int
	for i, r := range g.rules {
		if s, ok := stackOf(r.Op); ok && s.Group == name {
			out = append(out, i)
		}
	}
	return out
}

// complete fails on a block that lacks an expert, naming the first.
func (g *gatherer) complete(key groupKey) error {
	gr := g.groups[key]
	if gr.done {
		return nil
	}
	for x := range gr.experts {
		var missing []string
		for _, r := range gr.rules {
			if _, ok := gr.have[[2]int{r, x}]; !ok {
				_, tail, _ := strings.Cut(g.rules[r].From, "{x}.")
				missing = append(missing, tail)
			}
		}
		if len(missing) > 0 {
			return &MissingExpertError{Layer: key.block, Expert: x, Missing: missing, Have: len(gr.have), Want: len(gr.rules) * gr.experts}
		}
	}
	return nil
}

// emit appends the tensors that a rule makes of its sources; their types are set later.
func (g *gatherer) emit(m family.Match, srcs []source) error {
	rule, first := g.rules[m.Rule], false
	if f, ok := rule.Op.(family.First); ok {
		rule.Op, first = f.Op, true
	}
	for _, part := range rule.Parts() {
		out := output{rule: part, srcs: srcs, first: first, info: gguf.TensorInfo{Name: part.Target(m)}}
		if g.names[out.info.Name] {
			return fmt.Errorf("convert: tensor %q becomes %s, which another one is already", srcs[0].from[0], out.info.Name)
		}
		g.names[out.info.Name] = true
		for _, s := range srcs {
			out.from = append(out.from, s.from...)
		}
		if err := out.build(); err != nil {
			return fmt.Errorf("convert: tensor %q: to become %s: %w", srcs[0].from[0], out.info.Name, err)
		}
		g.outs = append(g.outs, out)
	}
	return nil
}

// build makes the tensor's view. Experts of different shapes have none; check says which one is wrong.
func (o *output) build() error {
	stack, stacked := o.rule.Op.(family.Stack)
	if !stacked {
		v, err := apply(o.rule.Op, o.srcs[0].view)
		if err != nil {
			return err
		}
		o.view, o.info.Shape = v, reversed(v.shape())
		return nil
	}
	ins := make([]view, len(o.srcs))
	for x, s := range o.srcs {
		var err error
		if ins[x] = s.view; stack.Each != nil {
			if ins[x], err = apply(stack.Each, s.view); err != nil {
				return err
			}
		}
		if !slices.Equal(ins[x].shape(), ins[0].shape()) {
			o.info.Shape = append(reversed(ins[0].shape()), int64(len(o.srcs)))
			return nil
		}
	}
	v, err := newStack(ins)
	if err != nil {
		return err
	}
	o.view, o.info.Shape = v, reversed(v.shape())
	return nil
}

// shaped reports whether the sources have the output's own shape, but for a stack's outermost dimension.
func (o *output) shaped() bool {
	switch op := o.rule.Op.(type) {
	case family.Copy, family.PermuteRope, family.Map, family.Normalize:
		return true
	case family.Stack:
		return op.Each == nil
	}
	return false
}

// compute puts the tensors that config.json gives before all others.
func (g *gatherer) compute(f *family.Family, c family.Config) error {
	if f.Computed == nil {
		return nil
	}
	var outs []output
	for _, t := range f.Computed(c) {
		v := computed(t.Values)
		outs = append(outs, output{info: gguf.TensorInfo{Name: t.Role.Weight(), Shape: reversed(v.shape())}, rule: family.Rule{To: t.Role, Op: family.Copy{}}, from: []string{"config.json"}, view: v})
	}
	g.outs = append(outs, g.outs...)
	return c.Err()
}

// reversed turns a source shape, outermost dimension first, into a gguf one.
func reversed(shape []int64) gguf.Shape {
	out := make(gguf.Shape, len(shape))
	for i, n := range shape {
		out[len(shape)-1-i] = n
	}
	return out
}
