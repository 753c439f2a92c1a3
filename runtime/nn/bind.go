package nn

import (
	"errors"
	"fmt"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/gguf/names"
	"github.com/moeconv/moeconv/runtime/kernel"
)

// vector is a small float32 tensor: a norm or a bias. Nil where the model has none.
type vector []float32

// ffn is a gated feed-forward network: down(act(gate(x)) * up(x)).
type ffn struct{ gate, up, down *matrix }

// layer is the weights of one block.
type layer struct {
	attnNorm, ffnNorm          vector // [embedding]
	q, k, v, o                 *matrix
	qBias, kBias, vBias, oBias vector
	router                     *matrix // nil: the block is dense
	dense                      ffn     // of a dense block
	experts                    ffn     // of the others, stacked
	shared                     ffn     // beside experts; nil matrices where there are none
}

// weights is a whole model.
type weights struct {
	embedding  *matrix // [vocabulary][embedding]
	outputNorm vector
	output     *matrix // the embedding where tied
	ropeFreqs  vector  // [rope dims/2] divisors of the frequencies
	layers     []layer
}

// binder finds tensors by name, checks their shapes and remembers which were asked for.
type binder struct {
	tensors  []gguf.TensorInfo
	byName   map[string]int
	rounded  bool
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
	if b.rounded {
		m.dot = kernel.DotType(t.Type)
	}
	b.matrices = append(b.matrices, m)
	return m
}

func (b *binder) vector(name string, required bool, n int) vector {
	i := b.checked(name, required, gguf.Shape{int64(n)})
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
		outputNorm: b.vector(names.OutputNorm.Weight(), true, p.Embedding),
		ropeFreqs:  b.vector(names.RopeFreqs.Weight(), false, p.RopeDims/2),
	}
	if w.embedding != nil {
		w.output = b.matrix(names.OutputWeight.Weight(), false, p.Embedding, w.embedding.rows)
		if w.output == nil {
			w.output = w.embedding
		}
	}
	for i := range p.Blocks {
		w.layers = append(w.layers, b.layer(p, i))
		if len(b.errs) > 8 { // one wrong size in the metadata fails all blocks
			break
		}
	}
	if len(b.errs) == 0 {
		for _, t := range b.tensors {
			if _, left := b.byName[t.Name]; left {
				b.failf("tensor %q is not part of the graph of %s", t.Name, p.Arch)
			}
		}
	}
	return w, errors.Join(b.errs...)
}

func (b *binder) layer(p Params, i int) layer {
	heads, kv := p.Heads*p.HeadDim, p.KVHeads*p.HeadDim
	l := layer{
		attnNorm: b.vector(names.AttnNorm.In(i), true, p.Embedding),
		ffnNorm:  b.vector(names.FFNNorm.In(i), true, p.Embedding),
		q:        b.matrix(names.AttnQ.In(i), true, p.Embedding, heads),
		k:        b.matrix(names.AttnK.In(i), true, p.Embedding, kv),
		v:        b.matrix(names.AttnV.In(i), true, p.Embedding, kv),
		o:        b.matrix(names.AttnOutput.In(i), true, heads, p.Embedding),
		qBias:    b.vector(bias(names.AttnQ, i), false, heads),
		kBias:    b.vector(bias(names.AttnK, i), false, kv),
		vBias:    b.vector(bias(names.AttnV, i), false, kv),
		oBias:    b.vector(bias(names.AttnOutput, i), false, p.Embedding),
	}
	if _, routed := b.byName[names.FFNGateInp.In(i)]; !routed {
		l.dense = b.ffn(p, i, p.FFN, names.FFNGate, names.FFNUp, names.FFNDown)
		return l
	}
	l.router = b.matrix(names.FFNGateInp.In(i), true, p.Embedding, p.Experts)
	l.experts = b.ffn(p, i, p.ExpertFFN, names.FFNGateExps, names.FFNUpExps, names.FFNDownExps, p.Experts)
	if t, ok := b.byName[names.FFNUpShexp.In(i)]; ok {
		width := int(min(b.tensors[t].Shape.NE(1), maxDim))
		l.shared = b.ffn(p, i, width, names.FFNGateShexp, names.FFNUpShexp, names.FFNDownShexp)
	}
	return l
}

// ffn binds the three matrices of a feed-forward network; stack is the number of experts, where they are stacked.
func (b *binder) ffn(p Params, block, width int, gate, up, down names.Role, stack ...int) ffn {
	in := append([]int{p.Embedding, width}, stack...)
	out := append([]int{width, p.Embedding}, stack...)
	return ffn{
		gate: b.matrix(gate.In(block), true, in...),
		up:   b.matrix(up.In(block), true, in...),
		down: b.matrix(down.In(block), true, out...),
	}
}

func bias(r names.Role, block int) string {
	return names.Name{Role: r, Block: block, Suffix: "bias"}.String()
}
