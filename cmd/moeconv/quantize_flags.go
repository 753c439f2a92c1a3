package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/quantize"
	"github.com/moeconv/moeconv/quantize/imatrix"
)

type quantizeFlags struct {
	via         string
	pre         string
	mix         string
	imatrix     string
	holes       string
	include     []string
	exclude     []string
	ruleArgs    []ruleArg
	rules       []quantize.Override
	outputType  string
	embedType   string
	overrides   []string
	prune       string
	bufferMiB   int
	pure        bool
	leaveOutput bool
	requantize  bool
	keepNative  bool
	target      targetFlags
}

func (q *quantizeFlags) register(f *pflag.FlagSet) {
	f.StringVar(&q.via, "via", "auto", "what a checkpoint is rounded to first: auto (as the reference flow does), f32, f16 or bf16")
	f.StringVar(&q.pre, "pre", "", "`NAME` of the pre-tokenizer of a checkpoint whose own cannot be told")
	f.StringVar(&q.mix, "mix", "llama", "`RULES` by which tensors get other types than the scheme's base: llama, or moe (ours, see above)")
	f.StringVar(&q.imatrix, "imatrix", "", "importance matrix `FILE`, GGUF or .dat")
	f.StringVar(&q.holes, "imatrix-holes", "reference", "`WAY` to deal with what it lacks: reference, mean, neighbour or refuse (see above)")
	f.StringArrayVar(&q.include, "include-weights", nil, "use the importance matrix for tensors whose names contain `NAME` alone, repeatable")
	f.StringArrayVar(&q.exclude, "exclude-weights", nil, "do not use it for tensors whose names contain `NAME`, repeatable")
	f.Var(&ruleFlag{&q.ruleArgs, false}, "tensor-type", "`REGEX=TYPE` for tensors whose name matches, repeatable; the first that matches decides, one that matches nothing is an error")
	f.Var(&ruleFlag{&q.ruleArgs, true}, "tensor-type-file", "`FILE` of such rules, divided by blanks or line ends; # begins a comment")
	f.StringVar(&q.outputType, "output-tensor-type", "", "`TYPE` of output.weight")
	f.StringVar(&q.embedType, "token-embedding-type", "", "`TYPE` of token_embd.weight")
	f.StringArrayVar(&q.overrides, "override-kv", nil, "`KEY=TYPE:VALUE` to set in the metadata (int, float, bool, str), repeatable; the rules of schemes see it, too")
	f.StringVar(&q.prune, "prune-layers", "", "`L0,L1,...`: blocks to leave out")
	f.IntVar(&q.bufferMiB, "max-buffer-size", 0, "llama-quantize's name for --memory, in `MiB`")
	f.BoolVar(&q.pure, "pure", false, "give every tensor the scheme's base type")
	f.BoolVar(&q.leaveOutput, "leave-output-tensor", false, "leave output.weight as it is")
	f.BoolVar(&q.requantize, "allow-requantize", false, "encode again what is already quantized")
	f.BoolVar(&q.keepNative, "keep-native", false, "leave routed experts that came as MXFP4 as they are, unless a rule names them")
	q.target.register(f)
}

// quantizeHelp is the part of the verb's help that explains the flags' meaning.
const quantizeHelp = `Rules (--tensor-type) match anywhere in a name, in any case; unlike llama-quantize's they may
hold classes such as \D, and = too: the last one divides. As there, they have no effect
where the scheme is F32, F16, BF16 or COPY.

--mix moe gives the routed experts the scheme's base type, and what works for every token
(attention, shared experts, dense blocks, the router's side) Q6_K, or Q8_0 from four bits
on; see quantize/mixture_moe.go. Dense models are treated as by --mix llama.

--target-size and --target-bpw choose types by how much noise they add to a token's way
through the model: a product with a matrix adds as much as the matrix has error, whatever
its size, so the routed experts, which are large, get the fewest bits. Without --type the
output is named after the type of most of them. --write-rules writes down what was chosen.

An importance matrix is matched with the tensors and experts before anything is written.
--imatrix-holes says what stands in for what it lacks:
  reference  as llama-quantize has it: an expert that no token reached weighs all columns
             alike, a tensor without entry is encoded without weights
  mean       such an expert gets the mean of the tensor's other experts
  neighbour  that, and a tensor without entry gets that of a tensor with the same input, or
             else of the nearest block's, where the input is the residual stream
  refuse     every hole is an error
What cannot be encoded without an entry is an error whatever it says, and so is an entry of
the wrong size. The file records the matrix and the name of its text as llama-quantize does,
but without folders: no path of this machine goes into a file.`

// options turns the flags into the job's options.
func (q *quantizeFlags) options() (quantize.Options, error) {
	o := quantize.Options{Pure: q.pure, LeaveOutputTensor: q.leaveOutput, AllowRequantize: q.requantize, KeepNative: q.keepNative}
	var err error
	if o.Mix, err = quantize.ParseMix(q.mix); err != nil {
		return o, usageError{err}
	}
	for _, f := range []struct {
		text string
		to   **gguf.Type
	}{{q.outputType, &o.OutputTensorType}, {q.embedType, &o.TokenEmbeddingType}} {
		if f.text == "" {
			continue
		}
		t, err := gguf.ParseType(f.text)
		if err != nil {
			return o, usageError{err}
		}
		*f.to = &t
	}
	if q.rules, err = parseRules(q.ruleArgs); err != nil {
		return o, err
	}
	o.TensorTypes = q.rules
	if q.target.set() && (q.pure || q.mix != "llama") {
		return o, usageError{errors.New("--target-size and --target-bpw choose every type: they go without --pure and --mix")}
	}
	for _, s := range q.overrides {
		kv, err := quantize.ParseKeyValue(s)
		if err != nil {
			return o, usageError{err}
		}
		o.KV = append(o.KV, kv)
	}
	return o, q.matrix(&o)
}

// matrix opens the importance matrix and takes the entries that are asked for.
func (q *quantizeFlags) matrix(o *quantize.Options) error {
	var err error
	if o.ImatrixHoles, err = quantize.ParseHoles(q.holes); err != nil {
		return usageError{fmt.Errorf("--imatrix-holes: %w", err)}
	}
	if len(q.include) > 0 && len(q.exclude) > 0 {
		return usageError{errors.New("--include-weights and --exclude-weights cannot be used together")}
	}
	if q.imatrix == "" {
		return nil
	}
	m, err := imatrix.Open(q.imatrix)
	if err != nil {
		return err
	}
	o.Imatrix, o.ImatrixName = m.Select(q.include, q.exclude), filepath.Base(q.imatrix)
	return nil
}

// pruned is src without the blocks that --prune-layers names.
func (a *app) pruned(src gguf.Source, list string) (gguf.Source, error) {
	if list == "" {
		return src, nil
	}
	var blocks []int
	for _, s := range strings.Split(list, ",") {
		n, err := strconv.Atoi(s)
		if err != nil || n < 0 {
			return nil, usageError{fmt.Errorf("--prune-layers %s: %q is no number of a block", list, s)}
		}
		blocks = append(blocks, n)
	}
	p, err := quantize.Prune(src, blocks)
	if err != nil {
		return nil, err
	}
	if missing := p.Missing(); len(missing) > 0 {
		a.diag("warning: --prune-layers: the model has no blocks %d", missing)
	}
	return p, nil
}
