package convert

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/moeconv/moeconv/convert/family"
	"github.com/moeconv/moeconv/convert/safetensors"
	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/gguf/names"
)

// check holds the gathered tensors against the family's load contract, in the words of the checkpoint.
func (g *gatherer) check(f *family.Family, c family.Config, keys *gguf.Metadata) error {
	byName := make(map[string]*output, len(g.outs))
	for i := range g.outs {
		byName[g.outs[i].info.Name] = &g.outs[i]
	}
	for _, want := range f.Contract(keys) {
		out, ok := byName[want.Name]
		delete(byName, want.Name)
		if !ok {
			if err := g.missing(f, c, want.Name); err != nil {
				return err
			}
			continue
		}
		if err := checkShapes(c, out, isStack(g.rules[out.rule].Op), want.Shape); err != nil {
			return err
		}
	}
	for _, out := range g.outs {
		if byName[out.info.Name] != nil {
			return &MisplacedTensorError{Source: out.srcs[0].Name, Tensor: out.info.Name}
		}
	}
	return nil
}

// missing decides whether the file can do without a tensor.
func (g *gatherer) missing(f *family.Family, c family.Config, name string) error {
	n := names.Parse(name)
	rule := slices.IndexFunc(g.rules, func(r family.Rule) bool { return r.To == n.Role })
	optional := slices.Contains(f.Optional, n.Role)
	if optional && (n.Role != names.OutputWeight || c.BoolOr("tie_word_embeddings", false)) {
		return c.Err()
	}
	e := &MissingTensorError{Tensor: name}
	if rule >= 0 {
		e.Source = g.rules[rule].Source(n.Block, 0, n.Suffix)
		if isStack(g.rules[rule].Op) {
			e.Why = fmt.Sprintf("layer %d has no routed experts", n.Block)
		}
	}
	if optional {
		e.Why = "tie_word_embeddings is not true, so the embedding does not stand in for it"
	}
	return e
}

// checkShapes compares every source tensor of out with the shape the config calls for.
func checkShapes(c family.Config, out *output, stacked bool, want gguf.Shape) error {
	one := want
	if stacked {
		one = want[:len(want)-1]
	}
	for x, t := range out.srcs {
		got := reversed(t.Shape)
		if got.Equal(one) {
			continue
		}
		e := &ShapeError{Source: t.Name, Got: t.Shape, Want: reversed(one), Layer: names.Parse(out.info.Name).Block, Expert: -1}
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
	if !out.info.Shape.Equal(want) {
		return fmt.Errorf("convert: tensor %s has shape %v, config.json calls for %v", out.info.Name, out.info.Shape, want)
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

// MisplacedTensorError says that a source tensor has no place in its layer of this model.
type MisplacedTensorError struct{ Source, Tensor string }

func (e *MisplacedTensorError) Error() string {
	return fmt.Sprintf("convert: tensor %q does not belong in this model: with this config.json there is no %s", e.Source, e.Tensor)
}

// Hint is advice for the user.
func (e *MisplacedTensorError) Hint() string {
	return "config.json says which layers are dense and which are mixtures of experts; is it the one of these weights?"
}

// setOps makes the ops of all outputs.
func (g *gatherer) setOps() error {
	for i := range g.outs {
		out := &g.outs[i]
		o, err := newOp(g.rules[out.rule].Op, rowsOf(out.srcs[0]))
		if err != nil {
			return fmt.Errorf("convert: tensor %q: %w", out.srcs[0].Name, err)
		}
		out.op = o
	}
	return nil
}

// rowsOf is the number of rows of a source tensor: the product of all dimensions but the innermost.
func rowsOf(t safetensors.Tensor) int64 { return reversed(t.Shape).Rows() }
