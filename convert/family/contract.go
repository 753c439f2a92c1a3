package family

import (
	"fmt"
	"slices"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/gguf/names"
)

// commonRequired are the integer keys every family's files need, without the architecture's prefix.
var commonRequired = []string{"block_count", "context_length", "embedding_length", "attention.head_count"}

// Limits of llama.cpp: files beyond them load nowhere.
const (
	maxBlocks  = 1024
	maxExperts = 1024
)

// dims are the sizes that shapes are made of.
type dims struct {
	md                       *gguf.Metadata
	blocks                   int
	embd, ff, heads, headsKV int64
	headDim, vocab, expert   int64
}

// readDims reads the sizes; keys that may be absent get the loader's defaults.
func readDims(md *gguf.Metadata) dims {
	d := dims{md: md}
	d.blocks = int(d.key("block_count"))
	d.embd, d.ff = d.key("embedding_length"), d.key("feed_forward_length")
	d.heads = d.key("attention.head_count")
	d.headsKV = d.most("attention.head_count_kv", d.heads)
	d.headDim = d.keyOr("attention.key_length", d.embd/max(1, d.heads))
	d.expert = d.keyOr("expert_count", 0)
	d.vocab = d.keyOr("vocab_size", 0)
	if v, ok := md.Get("tokenizer.ggml.tokens"); ok {
		if tokens, ok := v.([]string); ok {
			d.vocab = int64(len(tokens))
		}
	}
	return d
}

// key is a required key, 0 where it is missing: CheckContract has seen to that.
func (d dims) key(name string) int64 { return d.keyOr(name, 0) }

func (d dims) keyOr(name string, def int64) int64 {
	if n, err := d.md.Int(d.md.ArchKey(name)); err == nil {
		return n
	}
	if n, ok := d.elem(name, 0); ok { // a value a block: the first stands for all
		return n
	}
	return def
}

// at is a key's value for a block, where it may have one for each.
func (d dims) at(name string, block int) int64 {
	if n, ok := d.elem(name, block); ok {
		return n
	}
	return d.key(name)
}

// most is the largest of a key's values where it has one for each block: blocks without attention have 0 heads.
func (d dims) most(name string, def int64) int64 {
	n, ok := d.elem(name, 0)
	if !ok {
		return d.keyOr(name, def)
	}
	for i := 1; ok; i++ {
		var next int64
		next, ok = d.elem(name, i)
		n = max(n, next)
	}
	return n
}

// elem is an element of a key that is a list of integers.
func (d dims) elem(name string, i int) (int64, bool) {
	v, _ := d.md.Get(d.md.ArchKey(name))
	switch list := v.(type) {
	case []uint32:
		if i < len(list) {
			return int64(list[i]), true
		}
	case []int32:
		if i < len(list) {
			return int64(list[i]), true
		}
	}
	return 0, false
}

// mat is a block's matrix of in columns and out rows.
func (d dims) mat(b int, r names.Role, in, out int64) gguf.TensorInfo {
	return gguf.TensorInfo{Name: r.In(b), Shape: gguf.Shape{in, out}}
}

// vec is a block's vector of weights.
func (d dims) vec(b int, r names.Role, n int64) gguf.TensorInfo {
	return gguf.TensorInfo{Name: r.In(b), Shape: gguf.Shape{n}}
}

// bias is a role's bias in a block: a vector, or one a routed expert.
func (d dims) bias(b int, r names.Role, shape ...int64) gguf.TensorInfo {
	return gguf.TensorInfo{Name: names.Name{Role: r, Block: b, Suffix: "bias"}.String(), Shape: shape}
}

// scale is a role's scale in a block: a vector.
func (d dims) scale(b int, r names.Role, n int64) gguf.TensorInfo {
	return gguf.TensorInfo{Name: names.Name{Role: r, Block: b, Suffix: "scale"}.String(), Shape: gguf.Shape{n}}
}

// cube is a block's matrix of in columns and out rows, for each routed expert.
func (d dims) cube(b int, r names.Role, in, out int64) gguf.TensorInfo {
	return gguf.TensorInfo{Name: r.In(b), Shape: gguf.Shape{in, out, d.expert}}
}

// frame is what surrounds the blocks.
func (d dims) frame() []gguf.TensorInfo {
	return []gguf.TensorInfo{
		{Name: names.TokenEmbd.Weight(), Shape: gguf.Shape{d.embd, d.vocab}},
		{Name: names.OutputNorm.Weight(), Shape: gguf.Shape{d.embd}},
		{Name: names.OutputWeight.Weight(), Shape: gguf.Shape{d.embd, d.vocab}},
	}
}

// attention is a block's norms and projections, without biases.
func (d dims) attention(b int) []gguf.TensorInfo {
	q, kv := d.heads*d.headDim, d.headsKV*d.headDim
	return []gguf.TensorInfo{
		{Name: names.AttnNorm.In(b), Shape: gguf.Shape{d.embd}},
		{Name: names.AttnQ.In(b), Shape: gguf.Shape{d.embd, q}},
		{Name: names.AttnK.In(b), Shape: gguf.Shape{d.embd, kv}},
		{Name: names.AttnV.In(b), Shape: gguf.Shape{d.embd, kv}},
		{Name: names.AttnOutput.In(b), Shape: gguf.Shape{q, d.embd}},
		{Name: names.FFNNorm.In(b), Shape: gguf.Shape{d.embd}},
	}
}

// ffn is a gated feed-forward network of ff neurons.
func (d dims) ffn(b int, ff int64, gate, up, down names.Role) []gguf.TensorInfo {
	return []gguf.TensorInfo{
		{Name: gate.In(b), Shape: gguf.Shape{d.embd, ff}},
		{Name: up.In(b), Shape: gguf.Shape{d.embd, ff}},
		{Name: down.In(b), Shape: gguf.Shape{ff, d.embd}},
	}
}

// experts is a router with its routed experts of ff neurons each.
func (d dims) experts(b int, ff int64) []gguf.TensorInfo {
	return []gguf.TensorInfo{
		{Name: names.FFNGateInp.In(b), Shape: gguf.Shape{d.embd, d.expert}},
		{Name: names.FFNGateExps.In(b), Shape: gguf.Shape{d.embd, ff, d.expert}},
		{Name: names.FFNUpExps.In(b), Shape: gguf.Shape{d.embd, ff, d.expert}},
		{Name: names.FFNDownExps.In(b), Shape: gguf.Shape{ff, d.embd, d.expert}},
	}
}

// ContractError says in what a model breaks its family's load contract: a loader would refuse it.
type ContractError struct {
	Tensor string // empty where a metadata key is at fault
	Want   gguf.Shape
	Got    gguf.Shape // nil where the tensor is missing; Want is nil where it should not be there
	Msg    string
}

func (e *ContractError) Error() string { return "family: " + e.Msg }

// CheckContract holds a model's metadata, tensor names and shapes against what a loader of its architecture
// insists on. An architecture without a family is a *gguf.UnsupportedError, a breach a *ContractError.
func CheckContract(md *gguf.Metadata, tensors []gguf.TensorInfo) error {
	arch, err := md.Architecture()
	if err != nil {
		return err
	}
	f, ok := ForArch(arch)
	if !ok {
		return &gguf.UnsupportedError{Msg: fmt.Sprintf("architecture %q is not supported", arch)}
	}
	if err := f.checkKeys(md, len(tensors)); err != nil {
		return err
	}
	return f.checkTensors(f.Contract(md), tensors)
}

func (f *Family) checkKeys(md *gguf.Metadata, tensors int) error {
	for _, key := range append(slices.Clone(commonRequired), f.Required...) {
		n, err := md.Int(md.ArchKey(key))
		if first, ok := (dims{md: md}).elem(key, 0); ok {
			n, err = first, nil
		}
		if err != nil {
			return &ContractError{Msg: err.Error()}
		}
		if n < 0 || n > maxDim {
			return &ContractError{Msg: fmt.Sprintf("key %s is %d", md.ArchKey(key), n)}
		}
	}
	if _, err := gguf.Value[float32](md, md.ArchKey("attention.layer_norm_rms_epsilon")); err != nil {
		if _, other := gguf.Value[float32](md, md.ArchKey("attention.layer_norm_epsilon")); other != nil {
			return &ContractError{Msg: err.Error()}
		}
	}
	d := readDims(md)
	used := d.key("expert_used_count")
	switch {
	case d.blocks < 1 || d.blocks > maxBlocks || d.blocks > tensors:
		return &ContractError{Msg: fmt.Sprintf("%s is %d, with %d tensors", md.ArchKey("block_count"), d.blocks, tensors)}
	case d.heads < 1 || d.headsKV < 1 || d.headDim < 1 || d.headDim > maxDim || d.headsKV > maxDim:
		return &ContractError{Msg: fmt.Sprintf("%d attention heads (%d key-value heads) of %d elements", d.heads, d.headsKV, d.headDim)}
	case d.expert > maxExperts || d.expert < 0 || used > d.expert || slices.Contains(f.Required, "expert_count") && (d.expert < 1 || used < 1):
		return &ContractError{Msg: fmt.Sprintf("%s is %d and %s is %d", md.ArchKey("expert_count"), d.expert, md.ArchKey("expert_used_count"), used)}
	}
	if n, err := md.Int(md.ArchKey("vocab_size")); err == nil && n != d.vocab {
		return &ContractError{Msg: fmt.Sprintf("%s is %d, the vocabulary has %d tokens", md.ArchKey("vocab_size"), n, d.vocab)}
	}
	return nil
}

// IsOptional reports whether a file may lack a tensor of the contract: Optional names its role, or role and suffix.
func (f *Family) IsOptional(tensor string) bool {
	n := names.Parse(tensor)
	return slices.Contains(f.Optional, n.Role) || slices.Contains(f.Optional, n.Role+"."+names.Role(n.Suffix))
}

func (f *Family) checkTensors(want, have []gguf.TensorInfo) error {
	byName := make(map[string]gguf.Shape, len(have))
	for _, t := range have {
		byName[t.Name] = t.Shape
	}
	for _, w := range want {
		got, ok := byName[w.Name]
		delete(byName, w.Name)
		if !ok {
			if !f.IsOptional(w.Name) {
				return &ContractError{Tensor: w.Name, Want: w.Shape, Msg: fmt.Sprintf("tensor %q is missing", w.Name)}
			}
			continue
		}
		if !got.Equal(w.Shape) {
			return &ContractError{Tensor: w.Name, Want: w.Shape, Got: got, Msg: fmt.Sprintf("tensor %q has shape %v, the metadata needs %v", w.Name, got, w.Shape)}
		}
	}
	for _, t := range have {
		if _, ok := byName[t.Name]; ok {
			return &ContractError{Tensor: t.Name, Got: t.Shape, Msg: fmt.Sprintf("tensor %q is not part of the architecture", t.Name)}
		}
	}
	return nil
}
