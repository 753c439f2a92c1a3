package quantize

import (
	"context"
	"fmt"
	"sync"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/quantize/block"
)

// Job is a quantization under way: a gguf.Source whose tensors are those of another in llama-quantize's
// order, encoded on demand. It holds scratch memory of about a MiB for each concurrent ReadRows, beyond
// what the source's units ask for.
type Job struct {
	src      gguf.Source
	scheme   Scheme
	md       *gguf.Metadata
	tensors  []gguf.TensorInfo
	items    []item
	index    map[string]int // of tensors by name
	assigned Assignment
	coverage Coverage
	// obstacles would stop the job; there are none unless it is a plan only
	obstacles []error
	scratch   sync.Pool // of *scratch
}

// item is how one tensor is made.
type item struct {
	src        int       // index in the source
	from       gguf.Type // the source's type
	importance []float32 // row length x experts; nil for none
}

// New plans the quantization of src by a scheme; nothing but names, shapes and metadata is read. It finds what would stop
// the job later: tensors that must not be quantized again, types without a codec, and entries that an importance matrix lacks.
func New(src gguf.Source, s Scheme, o Options) (*Job, error) {
	ts := src.Tensors()
	for _, t := range ts {
		if err := t.Check(); err != nil {
			return nil, fmt.Errorf("quantize: %w", err)
		}
	}
	a, err := Assign(src.Metadata(), ts, s, o)
	if err != nil {
		return nil, err
	}
	j := &Job{src: src, scheme: s, assigned: a, index: make(map[string]int, len(ts))}
	for i, from := range a.Order {
		t := ts[from]
		j.index[t.Name] = i
		j.items = append(j.items, item{src: from, from: t.Type})
		t.Type, t.Shape = a.Types[i], trimmed(t.Shape)
		j.tensors = append(j.tensors, t)
	}
	for _, check := range []func(Options) error{j.matchImportance, j.checkTypes} {
		if err := check(o); err != nil && !o.PlanOnly {
			return nil, err
		} else if err != nil {
			j.obstacles = append(j.obstacles, err)
		}
	}
	j.md = metadata(src.Metadata(), ts, a.Order, s, o)
	if p, ok := src.(*Pruned); ok {
		key := j.md.ModelKey("block_count")
		j.md.Delete(key)
		j.md.Set(key, uint32(p.blocks))
	}
	return j, nil
}

// trimmed is a shape without outermost dimensions of 1, which llama-quantize's writer does not know of.
func trimmed(s gguf.Shape) gguf.Shape {
	for len(s) > 1 && s[len(s)-1] == 1 {
		s = s[:len(s)-1]
	}
	return s
}

// checkTypes finds tensors that cannot be decoded or encoded, or should not be.
func (j *Job) checkTypes(o Options) error {
	for i, t := range j.tensors {
		from := j.items[i].from
		if t.Type == from {
			continue
		}
		if from.Quantized() && !o.AllowRequantize {
			return fmt.Errorf("quantize: tensor %q: requantizing from type %s is disabled", t.Name, from.GGMLName())
		}
		for _, typ := range []gguf.Type{from, t.Type} {
			if _, ok := block.For(typ); !ok {
				return &gguf.UnsupportedError{Msg: fmt.Sprintf("quantize: tensor %q: %v to %v: no codec for %v", t.Name, from, t.Type, typ)}
			}
		}
	}
	return nil
}

// Metadata is the source's, changed as llama-quantize changes it.
func (j *Job) Metadata() *gguf.Metadata { return j.md }

// Tensors lists the output's tensors in llama-quantize's order.
func (j *Job) Tensors() []gguf.TensorInfo { return j.tensors }

// Obstacles are what would stop the job if it were run; only a plan has any.
func (j *Job) Obstacles() []error { return j.obstacles }

// Assignment is how the types came about.
func (j *Job) Assignment() Assignment { return j.assigned }

// Units is the source's granularity for the tensor.
func (j *Job) Units(tensor int) int {
	if tensor < 0 || tensor >= len(j.items) {
		return 1
	}
	return gguf.Units(j.src, j.items[tensor].src)
}

// ReadRows encodes n rows of a tensor, or copies them where the type stays. Values and block scales that are not finite
// are errors naming tensor, row and value, in copies too.
func (j *Job) ReadRows(ctx context.Context, tensor, row, n int, dst []byte) error {
	return j.read(ctx, tensor, row, n, []*Job{j}, [][]byte{dst})
}
