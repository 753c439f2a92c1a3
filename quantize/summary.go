package quantize

import (
	"fmt"
	"slices"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/gguf/names"
)

// Summary is a job's outcome in numbers, known before anything is encoded.
type Summary struct {
	Scheme        string
	Tensors       []TensorSummary // in the output's order
	Classes       []ClassSummary  // by class, those present
	Types         []TypeSummary   // by type, those present
	Elements      int64
	SourceBytes   int64 // tensor data of the source, paddings not counted
	Bytes         int64 // tensor data of the output, paddings not counted
	FileBytes     int64 // the whole file, as one
	BitsPerWeight float64
	Fallbacks     []Fallback
	Rules         []Match // of Options.TensorTypes
}

// TensorSummary is one tensor's part.
type TensorSummary struct {
	Name               string
	Class              names.Class
	Shape              gguf.Shape
	From, Type         gguf.Type
	SourceBytes, Bytes int64
	Importance         bool // encoded with an entry of the importance matrix
	RequiresImportance bool
	FallbackFrom       gguf.Type // the type it should have had; equal to Type without a fallback
}

// ClassSummary sums the tensors of a class.
type ClassSummary struct {
	Class         names.Class
	Tensors       int
	Elements      int64
	Bytes         int64
	BitsPerWeight float64
}

// TypeSummary sums the tensors of a type.
type TypeSummary struct {
	Type    gguf.Type
	Tensors int
	Bytes   int64
}

// Summary adds the job up. It fails where the output's layout does: sizes that overflow, duplicate names.
func (j *Job) Summary() (Summary, error) {
	plan, err := gguf.Layout(j.md, j.tensors)
	if err != nil {
		return Summary{}, fmt.Errorf("quantize: %w", err)
	}
	s := Summary{Scheme: j.scheme.Name, FileBytes: plan.Size, Fallbacks: j.assigned.Fallbacks, Rules: j.assigned.Matches}
	wanted, required := map[string]gguf.Type{}, map[string]bool{}
	for _, f := range s.Fallbacks {
		wanted[f.Tensor] = f.Want
	}
	for _, name := range j.assigned.Importance {
		required[name] = true
	}
	classes, types := map[names.Class]ClassSummary{}, map[gguf.Type]TypeSummary{}
	for i, t := range j.tensors {
		ts := j.tensorSummary(i)
		ts.RequiresImportance = required[t.Name]
		if w, ok := wanted[t.Name]; ok {
			ts.FallbackFrom = w
		}
		s.Tensors = append(s.Tensors, ts)
		n := t.Shape.Elements()
		s.Elements, s.Bytes, s.SourceBytes = s.Elements+n, s.Bytes+ts.Bytes, s.SourceBytes+ts.SourceBytes
		c := classes[ts.Class]
		classes[ts.Class] = ClassSummary{Class: ts.Class, Tensors: c.Tensors + 1, Elements: c.Elements + n, Bytes: c.Bytes + ts.Bytes}
		y := types[t.Type]
		types[t.Type] = TypeSummary{Type: t.Type, Tensors: y.Tensors + 1, Bytes: y.Bytes + ts.Bytes}
	}
	s.BitsPerWeight = bitsPerWeight(s.Bytes, s.Elements)
	for _, c := range classes {
		c.BitsPerWeight = bitsPerWeight(c.Bytes, c.Elements)
		s.Classes = append(s.Classes, c)
	}
	for _, y := range types {
		s.Types = append(s.Types, y)
	}
	slices.SortFunc(s.Classes, func(a, b ClassSummary) int { return int(a.Class) - int(b.Class) })
	slices.SortFunc(s.Types, func(a, b TypeSummary) int { return int(a.Type) - int(b.Type) })
	return s, nil
}

func (j *Job) tensorSummary(i int) TensorSummary {
	t, it := j.tensors[i], j.items[i]
	src := t
	src.Type = it.from
	return TensorSummary{
		Name: t.Name, Class: names.ClassOf(t.Name), Shape: t.Shape, From: it.from, Type: t.Type, FallbackFrom: t.Type,
		SourceBytes: src.Bytes(), Bytes: t.Bytes(),
		Importance: it.importance != nil,
	}
}

func bitsPerWeight(bytes, elements int64) float64 {
	if elements == 0 {
		return 0
	}
	return float64(bytes) * 8 / float64(elements)
}

// Warning is llama-quantize's closing line on fallbacks, empty if there were none.
func (s Summary) Warning() string {
	if len(s.Fallbacks) == 0 {
		return ""
	}
	return fmt.Sprintf("%d of %d tensors required fallback quantization", len(s.Fallbacks), len(s.Tensors))
}

// Misleading says so when fallbacks make the file another than its name promises: when more than a quarter of the
// weights are of a type that they took for want of a better one.
func (s Summary) Misleading() string {
	var fell int64
	var intended float64 // bytes
	instead := map[gguf.Type]int64{}
	for _, t := range s.Tensors {
		n := t.Shape.Elements()
		intended += t.FallbackFrom.BitsPerWeight() * float64(n) / 8
		if t.FallbackFrom != t.Type {
			fell += n
			instead[t.Type] += n
		}
	}
	if fell*4 <= s.Elements {
		return ""
	}
	most := gguf.F32
	for typ, n := range instead {
		if n > instead[most] || n == instead[most] && typ < most {
			most = typ
		}
	}
	return fmt.Sprintf("named %s, but %.0f%% of the weights are in rows that do not divide into the blocks of its types, and most of these became %v: %.2f bits per weight instead of %.2f",
		s.Scheme, 100*float64(fell)/float64(s.Elements), most, s.BitsPerWeight, 8*intended/float64(s.Elements))
}
