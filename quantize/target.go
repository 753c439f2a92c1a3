package quantize

import (
	"fmt"
	"slices"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/gguf/names"
)

// Budget bounds an output's size: by the bytes of the whole file as one, or by the bits per weight of its tensors.
type Budget struct {
	Bytes         int64
	BitsPerWeight float64
}

// BudgetError says that not even the smallest types keep a budget.
type BudgetError struct {
	Least float64 // what they need, in the budget's unit
	Unit  string
}

func (e *BudgetError) Error() string {
	return fmt.Sprintf("quantize: the smallest types that may be used need %.10g %s", e.Least, e.Unit)
}

// slot is a tensor whose type is to be chosen.
type slot struct {
	info   gguf.TensorInfo
	ladder []rung // sizes include padding where the budget counts it
	at     int    // the rung chosen
	done   bool   // its next rung did not fit
	rank   int    // of its block among those that get more bits first
}

// ForBudget chooses the types of src's tensors with the least noise (see counts) for the bytes, such that no tensor could have
// its next larger type within the budget. Equal input gives equal output. What o says of single tensors stands. It returns a
// scheme, the one that is called after the type of most of the routed experts, and the rules that make the types: New with
// both builds the file.
func ForBudget(src gguf.Source, b Budget, o Options) (Scheme, []Override, error) {
	scheme, err := ParseScheme("Q8_0") // for the sizes in which the choice has no part
	if err != nil {
		return scheme, nil, err
	}
	o.PlanOnly, o.Pure = true, true
	job, err := New(src, scheme, o)
	if err != nil {
		return scheme, nil, err
	}
	slots, err := freeSlots(src, scheme, o)
	if err != nil {
		return scheme, nil, err
	}
	left, err := b.room(job, slots)
	if err != nil {
		return scheme, nil, err
	}
	if lack := fill(slots, left); lack > 0 {
		return scheme, nil, b.exceeded(job, lack)
	}
	infos := make([]gguf.TensorInfo, len(slots))
	for i, s := range slots {
		infos[i] = s.info
		infos[i].Type = s.ladder[s.at].typ
	}
	return schemeFor(job, infos), RulesOf(infos), nil
}

// freeSlots are the tensors that neither a rule nor a flag decides.
func freeSlots(src gguf.Source, s Scheme, o Options) ([]*slot, error) {
	ts := src.Tensors()
	m, err := readModel(overridden(src.Metadata(), o.KV), ts, o.CountTensors)
	if err != nil {
		return nil, err
	}
	a, err := newAssigner(m, ts, s, o)
	if err != nil {
		return nil, err
	}
	var out []*slot
	for _, i := range Order(ts) {
		t := ts[i]
		c := CategoryOf(t.Name)
		switch {
		case !quantizable(m.arch, t, o.LeaveOutputTensor), a.match(t.Name) != nil,
			o.TokenEmbeddingType != nil && c == TokenEmbedding, o.OutputTensorType != nil && c == Output, o.KeepNative && native(t):
			continue
		}
		values, ok := o.Imatrix.Entry(originalName(src, t.Name))
		ok = ok && int64(len(values)) == t.Shape.NE(0)*t.Shape.NE(2)
		block := blockOf(t.Name)
		sl := &slot{info: t, ladder: a.ladder(t, m.counts(t), ok), rank: block}
		if !moreBits(block, m.blocks) {
			sl.rank += m.blocks
		}
		out = append(out, sl)
	}
	return out, nil
}

// room is what a budget leaves for the slots; it rounds their ladders up to the file's padding where that counts.
func (b Budget) room(job *Job, slots []*slot) (int64, error) {
	plan, err := gguf.Layout(job.md, job.tensors)
	if err != nil {
		return 0, fmt.Errorf("quantize: %w", err)
	}
	align, total, elements := int64(1), int64(0), int64(0)
	for _, t := range job.tensors {
		total, elements = total+t.Bytes(), elements+t.Shape.Elements()
	}
	left := int64(b.BitsPerWeight * float64(elements) / 8)
	if b.Bytes > 0 {
		left, align, total = b.Bytes, plan.Alignment, plan.Size
	}
	padded := func(n int64) int64 { return (n + align - 1) / align * align }
	left -= total
	for _, s := range slots {
		left += padded(job.tensors[job.index[s.info.Name]].Bytes())
		for i := range s.ladder {
			s.ladder[i].bytes = padded(s.ladder[i].bytes)
		}
	}
	return left, nil
}

// exceeded is the error for a budget that lacks so many bytes.
func (b Budget) exceeded(job *Job, lack int64) error {
	if b.Bytes > 0 {
		return &BudgetError{float64(b.Bytes + lack), "bytes"}
	}
	var n int64
	for _, t := range job.tensors {
		n += t.Shape.Elements()
	}
	return &BudgetError{b.BitsPerWeight + 8*float64(lack)/float64(n), "bits per weight"}
}

// schemeFor is the scheme that is called after the type of most routed experts, or of most weights where there are none:
// infos where they have the tensor, else the job.
func schemeFor(job *Job, infos []gguf.TensorInfo) Scheme {
	chosen := map[string]gguf.Type{}
	for _, t := range infos {
		chosen[t.Name] = t.Type
	}
	routed, all := map[gguf.Type]int64{}, map[gguf.Type]int64{}
	for i, t := range job.tensors {
		typ := job.items[i].from
		if c, ok := chosen[t.Name]; ok {
			typ = c
		}
		if all[typ] += t.Shape.Elements(); names.ClassOf(t.Name) == names.RoutedExpert {
			routed[typ] += t.Shape.Elements()
		}
	}
	if len(routed) == 0 {
		routed = all
	}
	var best gguf.Type
	for typ, n := range routed {
		if m := routed[best]; typ.Quantized() && (!best.Quantized() || n > m || n == m && typ < best) {
			best = typ
		}
	}
	if !best.Quantized() {
		best = gguf.Q8_0
	}
	return schemeCalled(best)
}

// schemeCalled is the scheme that is called after a quantized type: of several the one that the reference guesses.
func schemeCalled(t gguf.Type) Scheme {
	ft, common := commonFileTypes[t]
	i := slices.IndexFunc(schemes, func(s Scheme) bool { return !s.Copy && (common && s.FileType == ft || !common && s.Base == t) })
	return schemes[max(0, i)]
}
