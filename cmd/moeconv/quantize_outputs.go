package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/gguf/expert"
	"github.com/moeconv/moeconv/quantize"
)

// outputList says what quantize writes: pairs of -o and --type, or --types into --outdir.
type outputList struct {
	names     []string
	schemes   []string
	types     []string
	dir       string
	keepSplit bool
}

func (l *outputList) register(f *pflag.FlagSet) {
	f.StringArrayVarP(&l.names, "output", "o", nil, "the `FILE` to write, one for each --type, in the same order")
	f.StringArrayVar(&l.schemes, "type", nil, "the `SCHEME`: Q4_K_M, Q8_0 ..., in any case, or its number; repeatable with -o")
	f.StringSliceVar(&l.types, "types", nil, "`SCHEMES` to write into --outdir in one pass: Q8_0,Q4_K_M")
	f.StringVar(&l.dir, "outdir", "", "`DIR` of the files of --types: NAME-SCHEME.gguf, shards in NAME-SCHEME/")
	f.BoolVar(&l.keepSplit, "keep-split", false, "write shards that hold the tensors which the source's shards hold")
}

// request is one output as the command line has it; name is empty where it is chosen later.
type request struct {
	name   string
	scheme quantize.Scheme
}

// requests pairs names and schemes. With a budget there is one output, whose scheme need not be given.
func (l *outputList) requests(line quantizeArgs, dry bool, budget targetFlags) ([]request, error) {
	names, schemes := l.names, l.schemes
	if (budget.set() || budget.rules != "") && (len(names) > 1 || len(schemes) > 1 || len(l.types) > 1) {
		return nil, usageError{errors.New("--target-size, --target-bpw and --write-rules go with one output")}
	}
	switch {
	case budget.set() && !line.llama && len(schemes)+len(l.types) == 0 && len(names) == 1:
		return []request{{name: names[0]}}, nil
	case budget.set() && !line.llama && len(schemes)+len(l.types)+len(names) == 0 && dry:
		return []request{{}}, nil
	case line.llama:
		if len(names)+len(schemes)+len(l.types) > 0 || l.dir != "" {
			return nil, usageError{errors.New("IN [OUT] TYPE goes without -o, --type, --types and --outdir")}
		}
		names, schemes = []string{line.out}, []string{line.scheme}
	case len(l.types) > 0 || l.dir != "":
		if len(names)+len(schemes) > 0 || len(l.types) == 0 {
			return nil, usageError{errors.New("--outdir goes with --types, and neither goes with -o and --type")}
		}
		schemes = l.types
		names = make([]string, len(schemes))
	case len(schemes) == 0 || len(names) == 0 && !dry:
		return nil, usageError{errors.New("quantize needs --type SCHEME and -o FILE, or --types SCHEMES and --outdir DIR")}
	case len(names) == 0:
		names = make([]string, len(schemes))
	case len(names) != len(schemes):
		return nil, usageError{fmt.Errorf("%d times -o and %d times --type: each output needs one of both", len(names), len(schemes))}
	}
	var out []request
	for i, s := range schemes {
		scheme, err := quantize.ParseScheme(s)
		if err != nil {
			return nil, usageError{err}
		}
		out = append(out, request{names[i], scheme})
	}
	return out, nil
}

// target is one output of quantize.
type target struct {
	name  string
	job   *quantize.Job
	src   gguf.Source // the job, with marks where the source has some
	doc   jobDoc
	bytes int64
}

// target plans one output.
func (a *app) target(q *quantization, r request) (target, error) {
	job, err := quantize.New(q.src.Source, r.scheme, q.opts)
	if err != nil {
		return target{}, err
	}
	t := target{name: r.name, job: job}
	if t.doc, err = a.describe(job, q.rules); err != nil {
		return t, err
	}
	t.src, err = marked(job)
	return t, err
}

// marked is the job with the experts' marks renewed where its source has them: they record bytes.
func marked(job *quantize.Job) (gguf.Source, error) {
	if _, ok := job.Metadata().Get(expert.KeyNames); !ok {
		return job, nil
	}
	out, _, err := expert.Tag(job)
	return out, err
}

// fileName is the name of an output of --types, in a folder of its own if it becomes several shards.
func (l *outputList) fileName(base string, t target, opts gguf.FileOptions) (string, error) {
	stem := base + "-" + t.doc.Scheme
	name := filepath.Join(l.dir, stem+".gguf")
	parts, err := gguf.Parts(name, t.src, opts)
	if len(parts) > 1 {
		name = filepath.Join(l.dir, stem, stem+".gguf")
	}
	return name, err
}

// typeSuffix is what the name of a file says about its type.
var typeSuffix = regexp.MustCompile(`(?i)[-_.](f32|f16|bf16|q8_0|fp16|fp8|auto)$`)

// baseName is the stem of the outputs' names: the checkpoint's folder, or the file's name without its type.
func (m *model) baseName(arg string) string {
	if m.plan != nil && m.plan.Name() != "" {
		return m.plan.Name()
	}
	prefix, _, _, ok := gguf.ParseShardName(arg)
	if !ok {
		prefix = strings.TrimSuffix(arg, filepath.Ext(arg))
	}
	return typeSuffix.ReplaceAllString(filepath.Base(prefix), "")
}

// shardsLike makes outputs split as the source's set is: the order of its tensors, and where shards end.
func (m *model) shardsLike() (order, ends []int, err error) {
	if m.file == nil {
		return nil, nil, usageError{errors.New("--keep-split needs a GGUF file as source: checkpoints are not split alike")}
	}
	origin := func(i int) int { return i }
	if p, ok := m.Source.(*quantize.Pruned); ok {
		origin = p.Origin
	}
	for i := range m.Tensors() {
		order = append(order, i)
	}
	slices.SortFunc(order, func(i, j int) int { return origin(i) - origin(j) }) // shard after shard, as they lie there
	for at, i := range order {
		shard := m.file.ShardOf(origin(i))
		for len(ends) <= shard {
			ends = append(ends, at)
		}
		ends[shard] = at + 1
	}
	return order, ends, nil
}

// keptName is the name of an output that --keep-split writes as n shards: the reference numbers a single one, too.
func keptName(name string, n int) string {
	if n == 1 && name != "" {
		return gguf.ShardName(strings.TrimSuffix(name, ".gguf"), 0, 1)
	}
	return name
}
