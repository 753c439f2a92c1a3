package convert

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/moeconv/moeconv/convert/family"
	"github.com/moeconv/moeconv/convert/safetensors"
	"github.com/moeconv/moeconv/gguf"
)

// output is one tensor of the file with what it is made from.
type output struct {
	info gguf.TensorInfo
	srcs []safetensors.Tensor // all of the same shape
	rule int
	op   op
}

// gatherer sorts source tensors into output tensors, in the order in which the reference writes them:
// each where it is read, stacked experts where the last one of their block is read.
type gatherer struct {
	rules   []family.Rule
	matcher *family.Matcher
	blocks  int
	outs    []output
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
	have    map[[2]int]safetensors.Tensor // by rule and expert
	done    bool
}

func gather(rules []family.Rule, blocks int64, sources []safetensors.Tensor) (*gatherer, error) {
	if blocks > int64(len(sources)) {
		return nil, fmt.Errorf("convert: config.json: num_hidden_layers is %d, but the checkpoint has %d tensors in all", blocks, len(sources))
	}
	g := &gatherer{rules: rules, matcher: family.NewMatcher(rules), blocks: int(blocks), groups: map[groupKey]*group{}, last: -1}
	for _, t := range sources {
		if err := g.add(t); err != nil {
			return nil, err
		}
	}
	if g.last+1 < g.blocks {
		return nil, fmt.Errorf("convert: config.json: num_hidden_layers is %d, but the checkpoint has no tensors of layers %d to %d", blocks, g.last+1, blocks-1)
	}
	for _, k := range g.order {
		if err := g.complete(k); err != nil {
			return nil, err
		}
	}
	return g, nil
}

func (g *gatherer) add(t safetensors.Tensor) error {
	m, err := g.matcher.Match(t.Name)
	if err != nil {
		var unknown *family.UnknownTensorError
		if errors.As(err, &unknown) {
			return &UnknownTensorError{Name: t.Name}
		}
		return fmt.Errorf("convert: %w", err)
	}
	if m.Block >= g.blocks {
		return fmt.Errorf("convert: tensor %q: layer %d is beyond num_hidden_layers %d of config.json", t.Name, m.Block, g.blocks)
	}
	rule := g.rules[m.Rule]
	if _, drop := rule.Op.(family.Drop); drop {
		return nil
	}
	g.last = max(g.last, m.Block)
	if _, ok := decoders[t.DType]; !ok {
		return &gguf.UnsupportedError{Msg: fmt.Sprintf("convert: tensor %q: dtype %s is not supported (BF16, F16, F32)", t.Name, t.DType)}
	}
	if stack, ok := rule.Op.(family.Stack); ok {
		return g.addExpert(t, m, stack)
	}
	return g.emit(rule.Target(m), m.Rule, []safetensors.Tensor{t})
}

func (g *gatherer) addExpert(t safetensors.Tensor, m family.Match, stack family.Stack) error {
	if int64(m.Expert) >= stack.Experts {
		return fmt.Errorf("convert: tensor %q: layer %d: expert %d is beyond the %d experts of config.json", t.Name, m.Block, m.Expert, stack.Experts)
	}
	key := groupKey{stack.Group, m.Block}
	gr := g.groups[key]
	if gr == nil {
		gr = &group{rules: g.groupRules(stack.Group), experts: int(stack.Experts), have: map[[2]int]safetensors.Tensor{}}
		g.groups[key] = gr
		g.order = append(g.order, key)
	}
	gr.have[[2]int{m.Rule, m.Expert}] = t
	if len(gr.have) < len(gr.rules)*gr.experts {
		return nil
	}
	gr.done = true
	for _, r := range gr.rules {
		srcs := make([]safetensors.Tensor, gr.experts)
		for x := range srcs {
			srcs[x] = gr.have[[2]int{r, x}]
		}
		if err := g.emit(g.rules[r].Target(m), r, srcs); err != nil {
			return err
		}
	}
	return nil
}

// groupRules are the indices of the rules whose stacks are written together.
func (g *gatherer) groupRules(name string) []int {
	var out []int
	for i, r := range g.rules {
		if s, ok := r.Op.(family.Stack); ok && s.Group == name {
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

// emit appends an output tensor; its type is set later.
func (g *gatherer) emit(name string, rule int, srcs []safetensors.Tensor) error {
	if i := slices.IndexFunc(g.outs, func(o output) bool { return o.info.Name == name }); i >= 0 {
		return fmt.Errorf("convert: tensors %q and %q both become %s", g.outs[i].srcs[0].Name, srcs[0].Name, name)
	}
	shape := reversed(srcs[0].Shape)
	if len(srcs) > 1 || isStack(g.rules[rule].Op) {
		shape = append(shape, int64(len(srcs)))
	}
	g.outs = append(g.outs, output{info: gguf.TensorInfo{Name: name, Shape: shape}, srcs: srcs, rule: rule})
	return nil
}

func isStack(o family.Op) bool { _, ok := o.(family.Stack); return ok }

// reversed turns a source shape, outermost dimension first, into a gguf one.
func reversed(shape []int64) gguf.Shape {
	out := make(gguf.Shape, len(shape))
	for i, n := range shape {
		out[len(shape)-1-i] = n
	}
	return out
}
