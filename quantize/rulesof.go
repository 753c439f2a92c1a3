package quantize

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/moeconv/moeconv/gguf"
)

// Rules are those that, with the job's scheme, give another job of the same source the same types, whatever the mixture.
// It fails for schemes in which rules have no effect.
func (j *Job) Rules() ([]Override, error) {
	if j.scheme.Copy || !j.scheme.Base.Quantized() {
		return nil, fmt.Errorf("quantize: rules have no effect on %v", j.scheme)
	}
	arch, _ := j.md.Architecture() // those without one have general rules only
	var ts []gguf.TensorInfo
	for _, t := range j.tensors {
		if quantizable(arch, t, false) {
			ts = append(ts, t)
		}
	}
	return RulesOf(ts), nil
}

// RulesOf gives tensors their types by rules, as few as there are types of a role. No two of them match the same tensor, and
// llama-quantize understands them, too.
func RulesOf(ts []gguf.TensorInfo) []Override {
	type key struct {
		role string // the name, blk.N taken for any block
		typ  gguf.Type
	}
	blocks := map[key][]int{}
	kinds := map[string][]gguf.Type{}
	var order []key
	for _, t := range ts {
		k := key{t.Name, t.Type}
		b := blockOf(t.Name)
		if b >= 0 {
			k.role = strings.TrimPrefix(t.Name, "blk."+strconv.Itoa(b))
		}
		if _, ok := blocks[k]; !ok {
			order = append(order, k)
			kinds[k.role] = append(kinds[k.role], t.Type)
		}
		blocks[k] = append(blocks[k], b)
	}
	var out []Override
	for _, k := range order {
		pattern := "^" + regexp.QuoteMeta(k.role) + "$"
		switch bs := blocks[k]; {
		case bs[0] < 0:
		case len(kinds[k.role]) == 1:
			pattern = `^blk\.[0-9]+` + pattern[1:]
		default:
			slices.Sort(bs)
			list := make([]string, len(bs))
			for i, b := range bs {
				list[i] = strconv.Itoa(b)
			}
			pattern = `^blk\.(` + strings.Join(list, "|") + ")" + pattern[1:]
		}
		out = append(out, Override{Pattern: pattern, Type: k.typ})
	}
	return out
}

// String is the rule as ParseOverride reads it.
func (o Override) String() string { return o.Pattern + "=" + o.Type.GGMLName() }
