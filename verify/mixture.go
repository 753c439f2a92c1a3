package verify

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/quantize"
	"github.com/moeconv/moeconv/quantize/imatrix"
)

// deviation is a tensor whose type is not the scheme's.
type deviation struct {
	tensor    string
	got, want gguf.Type
}

// checkMixture asks whether the tensors have the types that the file's scheme gives them. A rule of its own gives all
// tensors of a role another type; a tensor that stands alone is put there from another file, or by a rule for it.
func checkMixture(_ context.Context, s *Subject) Result {
	if s.Reference == nil {
		return NewResult(NotApplicable, "no source whose mixture could be made")
	}
	scheme, err := quantize.ParseScheme(s.Scheme)
	if err != nil || !scheme.Base.Quantized() {
		return NewResult(NotApplicable, "the file names no scheme that mixes types")
	}
	best, policy := []deviation(nil), ""
	for _, name := range []string{"llama", "moe"} {
		for _, m := range []*imatrix.Matrix{nil, anyMatrix()} {
			mix, err := quantize.ParseMix(name)
			if err != nil {
				return failure(err)
			}
			d, err := s.deviations(scheme, quantize.Options{Mix: mix, Imatrix: m, AllowRequantize: true})
			if err != nil {
				return Resultf(NotApplicable, "%v", err)
			}
			if policy == "" || len(d) < len(best) {
				best, policy = d, name
			}
		}
	}
	return s.judgeMixture(scheme, policy, best)
}

// deviations holds the types of the file against those of a scheme.
func (s *Subject) deviations(scheme quantize.Scheme, o quantize.Options) ([]deviation, error) {
	ts := s.Reference.Tensors()
	a, err := quantize.Assign(s.Reference.Metadata(), ts, scheme, o)
	if err != nil {
		return nil, err
	}
	want := map[string]gguf.Type{}
	for i, from := range a.Order {
		want[ts[from].Name] = a.Types[i]
	}
	var out []deviation
	for _, t := range s.Source.Tensors() {
		if w, ok := want[t.Name]; ok && w != t.Type && (w.Quantized() || t.Type.Quantized()) {
			out = append(out, deviation{t.Name, t.Type, w})
		}
	}
	return out, nil
}

// anyMatrix is an importance matrix with an entry: whether there is one decides some types.
func anyMatrix() *imatrix.Matrix {
	sums := imatrix.NewSums(1)
	values, counts, err := sums.Place("blk.0.ffn_down.weight", 1, 1, 1)
	if err != nil {
		return nil
	}
	values[0], counts[0] = 1, 1
	src, err := sums.Source()
	if err != nil {
		return nil
	}
	m, err := imatrix.Read(src)
	if err != nil {
		return nil
	}
	return m
}

func (s *Subject) judgeMixture(scheme quantize.Scheme, policy string, all []deviation) Result {
	r := NewResult(Pass, "")
	r.Figure = Number(len(all))
	roles := map[string][]deviation{}
	for _, d := range all {
		roles[roleOf(d.tensor)] = append(roles[roleOf(d.tensor)], d)
	}
	ruled := 0
	for _, role := range slices.Sorted(maps.Keys(roles)) {
		ds := roles[role]
		same := !slices.ContainsFunc(ds, func(d deviation) bool { return d.got != ds[0].got })
		if same && s.uniform(role, ds[0].got) {
			ruled += len(ds)
			continue
		}
		for _, d := range ds {
			r.Find(Problem{Tensor: d.tensor, Expert: -1, warn: true, Damage: "type-mix", Message: fmt.Sprintf("is %v, %v (mix %s) makes it %v, and others of its kind are as it makes them", d.got, scheme, policy, d.want)})
		}
	}
	sound := fmt.Sprintf("every tensor has the type that %v (mix %s) gives it", scheme, policy)
	if ruled > 0 {
		sound = fmt.Sprintf("%d tensors have a type that rules by role give, all others that of %v (mix %s)", ruled, scheme, policy)
	}
	r.summarize(sound)
	return r
}

// uniform reports whether all tensors of a role have one type.
func (s *Subject) uniform(role string, typ gguf.Type) bool {
	for _, t := range s.Source.Tensors() {
		if roleOf(t.Name) == role && t.Type != typ {
			return false
		}
	}
	return true
}
