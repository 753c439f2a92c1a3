package main

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/gguf/names"
	"github.com/moeconv/moeconv/quantize"
	"github.com/moeconv/moeconv/recipes"
)

// targetFlags choose types by a budget, and write down the types that were chosen.
type targetFlags struct {
	size  string
	bpw   float64
	rules string
}

func (t *targetFlags) register(f *pflag.FlagSet) {
	f.StringVar(&t.size, "target-size", "", "choose types such that the file has at most this `SIZE` (24GiB), and as nearly as they allow")
	f.Float64Var(&t.bpw, "target-bpw", 0, "the same for the tensors' bits per weight")
	f.StringVar(&t.rules, "write-rules", "", "write `FILE` of rules that make the same types again, or with the ending .yaml a recipe")
}

// set reports whether there is a budget.
func (t *targetFlags) set() bool { return t.size != "" || t.bpw != 0 }

func (t *targetFlags) budget() (quantize.Budget, error) {
	b := quantize.Budget{BitsPerWeight: t.bpw}
	if t.size != "" && t.bpw != 0 {
		return b, usageError{errors.New("--target-size and --target-bpw cannot be used together")}
	}
	if t.size == "" {
		if !(t.bpw > 0 && t.bpw <= 32) {
			return b, usageError{fmt.Errorf("--target-bpw %v: want more than 0 and at most 32", t.bpw)}
		}
		return b, nil
	}
	var err error
	if b.Bytes, err = recipes.ParseSize(t.size); err != nil {
		return b, usageError{fmt.Errorf("--target-size: %w", err)}
	}
	return b, nil
}

// choose adds the rules that keep the budget to opts, and returns the scheme that goes with them unless one is asked for.
// size is what all files of the output would have; where that exceeds the budget (each shard has a header), there is less
// to spend.
func (t *targetFlags) choose(src gguf.Source, asked quantize.Scheme, opts quantize.Options, size func(*quantize.Job) (int64, error)) (quantize.Scheme, quantize.Options, error) {
	b, err := t.budget()
	if err != nil {
		return quantize.Scheme{}, opts, err
	}
	own := opts.TensorTypes
	for spend := b; ; {
		scheme, rules, err := quantize.ForBudget(src, spend, opts)
		if err != nil {
			return scheme, opts, err
		}
		if asked.Name != "" {
			scheme = asked
		}
		if scheme.Copy || !scheme.Base.Quantized() {
			return scheme, opts, usageError{fmt.Errorf("%v leaves no types to choose", scheme)}
		}
		out := opts
		out.TensorTypes = append(slices.Clone(own), rules...)
		job, err := quantize.New(src, scheme, out)
		if err != nil || b.Bytes == 0 {
			return scheme, out, err
		}
		n, err := size(job)
		if err != nil || n <= b.Bytes {
			return scheme, out, err
		}
		spend.Bytes -= n - b.Bytes
	}
}

// keepBudget chooses the types of the only output.
func (q *quantization) keepBudget(files gguf.FileOptions) error {
	r := &q.requests[0]
	scheme, opts, err := q.budget.choose(q.src.Source, r.scheme, q.opts, func(job *quantize.Job) (int64, error) {
		src, err := marked(job)
		if err != nil {
			return 0, err
		}
		return plannedBytes(src, r.name, files)
	})
	r.scheme, q.opts = scheme, opts
	return err
}

// plannedBytes is the size of all the files of an output.
func plannedBytes(src gguf.Source, name string, files gguf.FileOptions) (int64, error) {
	parts, err := gguf.Parts(cmp.Or(name, "model.gguf"), src, files)
	if err != nil {
		return 0, err
	}
	var n int64
	for _, p := range parts {
		n += p.Bytes
	}
	return n, nil
}

// typeCounts says how many tensors of each role have which type, one line a role.
func typeCounts(ts []tensorTypeDoc) []string {
	type kind struct{ class, role string }
	counts := map[kind]map[string]int{}
	var kinds []kind
	for _, t := range ts {
		n := names.Parse(t.Name)
		if n.Suffix != "weight" || len(t.Shape) < 2 {
			continue
		}
		k := kind{t.Role, string(n.Role)}
		if counts[k] == nil {
			counts[k] = map[string]int{}
			kinds = append(kinds, k)
		}
		counts[k][t.Type]++
	}
	slices.SortStableFunc(kinds, func(a, b kind) int { return strings.Compare(a.class, b.class) })
	var out []string
	for _, k := range kinds {
		var parts []string
		for _, typ := range gguf.AllTypes() {
			if n := counts[k][typ.String()]; n > 0 {
				parts = append(parts, fmt.Sprintf("%v x %d", typ, n))
			}
		}
		out = append(out, fmt.Sprintf("%-14s %-18s %s", k.class, k.role, strings.Join(parts, ", ")))
	}
	return out
}
