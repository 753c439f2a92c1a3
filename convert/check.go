package convert

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/moeconv/moeconv/convert/family"
	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/gguf/names"
)

// check holds the gathered tensors against the family's load contract, in the words of the checkpoint.
func (g *gatherer) check(f *family.Family, c family.Config, keys *gguf.Metadata) error {
	byName := make(map[string]*output, len(g.outs))
	for i := range g.outs {
		byName[g.outs[i].info.Name] = &g.outs[i]
	}
	for _, want := range f.Contract(withVocabSize(keys, c)) {
		out, ok := byName[want.Name]
		delete(byName, want.Name)
		if !ok {
			if err := g.missing(f, c, want.Name); err != nil {
				return err
			}
			continue
		}
		if err := checkShapes(c, out, want.Shape); err != nil {
			return err
		}
	}
	for i := range g.outs {
		out := &g.outs[i]
		if byName[out.info.Name] != nil {
			return &MisplacedTensorError{Source: out.from[0], Tensor: out.info.Name}
		}
	}
	return nil
}

// withVocabSize adds the vocabulary's size for families whose files say it by their tokens alone.
func withVocabSize(keys *gguf.Metadata, c family.Config) *gguf.Metadata {
	if _, ok := keys.Get(keys.ArchKey("vocab_size")); ok {
		return keys
	}
	keys = keys.Clone()
	keys.Set(keys.ArchKey("vocab_size"), uint32(c.IntOr("vocab_size", 0)))
	return keys
}

// missing decides whether the file can do without a tensor.
func (g *gatherer) missing(f *family.Family, c family.Config, name string) error {
	n := names.Parse(name)
	optional := f.IsOptional(name)
	if optional && (n.Role != names.OutputWeight || c.Tied()) {
		return c.Err()
	}
	if n.Role == names.OutputWeight && !optional && c.Tied() {
		return &gguf.UnsupportedError{Msg: "convert: config.json: tie_word_embeddings is true, but llama.cpp needs an output of its own in this architecture: store the embedding as lm_head.weight too"}
	}
	e := &MissingTensorError{Tensor: name}
	for _, r := range g.rules {
		if slices.ContainsFunc(r.Parts(), func(p family.Rule) bool { return p.To == n.Role }) {
			e.Source = r.Source(n.Block, 0, n.Suffix)
			if _, stack := stackOf(r.Op); stack {
				e.Why = fmt.Sprintf("layer %d has no routed experts", n.Block)
			}
			break
		}
	}
	if optional {
		e.Why = "tie_word_embeddings is not true, so the embedding does not stand in for it"
	}
	return e
}

// checkShapes compares every source tensor of out with the shape the config calls for.
func checkShapes(c family.Config, out *output, want gguf.Shape) error {
	_, stacked := out.rule.Op.(family.Stack)
	one := want
	if stacked {
		one = want[:len(want)-1]
	}
	for x, s := range out.srcs {
		got := reversed(s.view.shape())
		if !out.shaped() || got.Equal(one) {
			continue
		}
		e := &ShapeError{Source: s.from[0], Got: s.view.shape(), Want: reversed(one), Layer: names.Parse(out.info.Name).Block, Expert: -1}
		if stacked {
			e.Expert = x
		}
		for i := range max(len(got), len(one)) {
			if got.NE(i) != one.NE(i) {
				e.Fields = fieldsOf(c, one.NE(i))
				break
			}
		}
		return e
	}
	if out.view == nil || !out.info.Shape.Equal(want) {
		return fmt.Errorf("convert: tensor %q: %s would have shape %v, config.json calls for %v", out.from[0], out.info.Name, out.info.Shape, want)
	}
	return nil
}

// fieldsOf lists the config fields that hold a size, which explain a wrong shape.
func fieldsOf(c family.Config, n int64) []string {
	var out []string
	for k, v := range c.Fields() {
		num, ok := v.(json.Number)
		size := strings.HasSuffix(k, "_size") || strings.HasPrefix(k, "num_") || strings.HasPrefix(k, "n_")
		if got, err := num.Int64(); ok && size && err == nil && got == n {
			out = append(out, fmt.Sprintf("%s %d", k, n))
		}
	}
	slices.Sort(out)
	return out
}

// ShapeError says that a source tensor does not have the shape that config.json calls for.
type ShapeError struct {
	Source        string
	Got, Want     []int64 // outermost dimension first
	Layer, Expert int     // -1 where there is none
	Fields        []string
}

func (e *ShapeError) Error() string {
	where := ""
	if e.Expert >= 0 {
		where = fmt.Sprintf("layer %d: expert %d: ", e.Layer, e.Expert)
	}
	s := fmt.Sprintf("convert: %stensor %q is %v, expected %v", where, e.Source, e.Got, e.Want)
	if len(e.Fields) > 0 {
		s += fmt.Sprintf(" (config.json: %s)", strings.Join(e.Fields, ", "))
	}
	return s
}

// Hint is advice for the user.
func (e *ShapeError) Hint() string {
	return "config.json and the weights are not of the same model, or one of them was changed"
}

// ExtraLayerError says that the checkpoint has a layer more than config.json.
type ExtraLayerError struct {
	Source                string
	Layer, Layers, Beyond int
}

func (e *ExtraLayerError) Error() string {
	s := fmt.Sprintf("convert: tensor %q: layer %d is beyond num_hidden_layers %d of config.json", e.Source, e.Layer, e.Layers)
	if e.Beyond > 0 {
		s += fmt.Sprintf(" and the %d layers of multi-token prediction after them", e.Beyond)
	}
	return s
}

// Hint is advice for the user.
func (e *ExtraLayerError) Hint() string {
	return "if these are layers of multi-token prediction, num_nextn_predict_layers of config.json must count them; else config.json is not the one of these weights"
}

// MisplacedTensorError says that a source tensor has no place in its layer of this model.
type MisplacedTensorError struct{ Source, Tensor string }

func (e *MisplacedTensorError) Error() string {
	return fmt.Sprintf("convert: tensor %q does not belong in this model: with this config.json there is no %s", e.Source, e.Tensor)
}

// Hint is advice for the user.
func (e *MisplacedTensorError) Hint() string {
	return "config.json says which layers are dense and which are mixtures of experts; is it the one of these weights?"
}
