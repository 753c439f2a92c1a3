package nn

import (
	"errors"
	"fmt"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/gguf/names"
	"github.com/moeconv/moeconv/runtime/kernel"
)

// binder finds tensors by name, checks their shapes and remembers which were asked for.
type binder struct {
	tensors  []gguf.TensorInfo
	byName   map[string]int
	rounded  bool
	integers bool
	matrices []*matrix // to load
	vectors  []pending // to load
	errs     []error
}

type pending struct {
	tensor int
	dst    vector
}

// find is the index of a tensor, marked as used, -1 if there is none.
func (b *binder) find(name string) int {
	i, ok := b.byName[name]
	if !ok {
		return -1
	}
	delete(b.byName, name)
	return i
}

func (b *binder) failf(format string, args ...any) {
	b.errs = append(b.errs, fmt.Errorf("nn: "+format, args...))
}

// checked is the index of a tensor of a shape; sizes of -1 in want are taken from the tensor.
func (b *binder) checked(name string, required bool, want gguf.Shape) int {
	i := b.find(name)
	if i < 0 {
		if required {
			b.failf("tensor %q is missing", name)
		}
		return -1
	}
	t := b.tensors[i]
	want = want.Clone()
	for d := range want {
		if want[d] < 0 {
			want[d] = t.Shape.NE(d)
		}
	}
	if !t.Shape.Equal(want) {
		b.failf("tensor %q has shape %v, want %v", name, t.Shape, want)
		return -1
	}
	if _, ok := kernel.DecoderOf(t.Type); !ok {
		b.errs = append(b.errs, &gguf.UnsupportedError{Msg: fmt.Sprintf("nn: tensor %q: weights of type %v cannot be run", name, t.Type)})
		return -1
	}
	return i
}

func (b *binder) matrix(name string, required bool, shape ...int) *matrix {
	want := make(gguf.Shape, len(shape))
	for i, n := range shape {
		want[i] = int64(n)
	}
	i := b.checked(name, required, want)
	if i < 0 {
		return nil
	}
	t := b.tensors[i]
	decode, _ := kernel.DecoderOf(t.Type)
	m := &matrix{info: t, tensor: i, cols: int(t.Shape.NE(0)), rows: int(t.Shape.NE(1)), experts: int(t.Shape.NE(2)), decode: decode}
	m.stack = m.rows
	if b.rounded {
		m.dot = kernel.DotType(t.Type)
		m.ints = b.integers && kernel.Integer(t.Type)
	}
	b.matrices = append(b.matrices, m)
	return m
}

// vector is a tensor of one dimension, or of more: an expert's biases lie together.
func (b *binder) vector(name string, required bool, shape ...int) vector {
	want := make(gguf.Shape, len(shape))
	for i, n := range shape {
		want[i] = int64(n)
	}
	i := b.checked(name, required, want)
	if i < 0 {
		return nil
	}
	v := make(vector, b.tensors[i].Shape.Elements())
	b.vectors = append(b.vectors, pending{i, v})
	return v
}

// bind finds every tensor of the graph. A tensor that is missing, of a wrong shape or not part of the graph is an error.
func (b *binder) bind(p Params) (*weights, error) {
	for i, t := range b.tensors {
		if _, ok := b.byName[t.Name]; ok {
			return nil, fmt.Errorf("nn: tensor %q appears twice", t.Name)
		}
		b.byName[t.Name] = i
	}
	if p.Blocks > len(b.tensors) {
		return nil, fmt.Errorf("nn: %d blocks with %d tensors", p.Blocks, len(b.tensors))
	}
	w := &weights{
		embedding:  b.matrix(names.TokenEmbd.Weight(), true, p.Embedding, -1),
		outputNorm: b.norm(-1, p.Embedding, names.OutputNorm, "token_embd_norm"),
		ropeFreqs:  b.vector(names.RopeFreqs.Weight(), false, p.Rope.Dims/2),
		ropeLong:   b.vector("rope_factors_long.weight", false, p.Rope.Dims/2),
		ropeShort:  b.vector("rope_factors_short.weight", false, p.Rope.Dims/2),
	}
	if w.embedding != nil {
		w.output = b.matrix(names.OutputWeight.Weight(), false, p.Embedding, w.embedding.rows)
		if w.output == nil {
			w.output = w.embedding
		}
		w.outputBias = b.vector(bias(names.OutputWeight, -1), false, w.embedding.rows)
	}
	for i := range p.Blocks {
		w.layers = append(w.layers, b.layer(p, i))
		if len(b.errs) > 8 { // one wrong size in the metadata fails all blocks
			break
		}
	}
	if len(b.errs) == 0 {
		b.leftOver(p)
	}
	return w, errors.Join(b.errs...)
}

// leftOver fails on tensors that were not asked for, but for those of blocks that are not run.
func (b *binder) leftOver(p Params) {
	for _, t := range b.tensors {
		_, left := b.byName[t.Name]
		if block := names.Parse(t.Name).Block; left && (block < p.Blocks || block >= p.Blocks+p.Unused) {
			b.failf("tensor %q is not part of the graph of %s", t.Name, p.Arch)
		}
	}
}

// norm is that of the first role the file has; one of them is required.
func (b *binder) norm(block, n int, roles ...names.Role) norm {
	for _, r := range roles {
		if b.has(r, block) {
			return norm{b.vector(weight(r, block), true, n), b.vector(bias(r, block), false, n)}
		}
	}
	b.failf("tensor %q is missing", weight(roles[0], block))
	return norm{}
}

// optionalNorm is norm, without weights where the file has none.
func (b *binder) optionalNorm(block, n int, r names.Role) norm {
	if !b.has(r, block) {
		return norm{}
	}
	return b.norm(block, n, r)
}

func (b *binder) has(r names.Role, block int) bool {
	_, ok := b.byName[weight(r, block)]
	return ok
}

func weight(r names.Role, block int) string {
	return names.Name{Role: r, Block: block, Suffix: "weight"}.String()
}

func bias(r names.Role, block int) string {
	return names.Name{Role: r, Block: block, Suffix: "bias"}.String()
}

func scaleOf(r names.Role, block int) string {
	return names.Name{Role: r, Block: block, Suffix: "scale"}.String()
}
