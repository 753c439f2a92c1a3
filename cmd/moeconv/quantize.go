package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/gguf/expert"
	"github.com/moeconv/moeconv/quantize"
	"github.com/moeconv/moeconv/quantize/imatrix"
)

type quantizeFlags struct {
	scheme      string
	via         string
	pre         string
	imatrix     string
	tensorTypes []string
	outputType  string
	embedType   string
	pure        bool
	leaveOutput bool
	requantize  bool
}

func (q *quantizeFlags) register(f *pflag.FlagSet) {
	f.StringVar(&q.scheme, "type", "", "the `SCHEME`: Q4_K_M, Q8_0 ..., in any case")
	f.StringVar(&q.via, "via", "auto", "what a checkpoint is rounded to first: auto (as the reference flow does), f32, f16 or bf16")
	f.StringVar(&q.pre, "pre", "", "`NAME` of the pre-tokenizer of a checkpoint whose own cannot be told")
	f.StringVar(&q.imatrix, "imatrix", "", "importance matrix `FILE`")
	f.StringArrayVar(&q.tensorTypes, "tensor-type", nil, "`REGEX=TYPE` for tensors whose name matches, repeatable; a rule that matches nothing is an error")
	f.StringVar(&q.outputType, "output-tensor-type", "", "`TYPE` of output.weight")
	f.StringVar(&q.embedType, "token-embedding-type", "", "`TYPE` of token_embd.weight")
	f.BoolVar(&q.pure, "pure", false, "give every tensor the scheme's base type")
	f.BoolVar(&q.leaveOutput, "leave-output-tensor", false, "leave output.weight as it is")
	f.BoolVar(&q.requantize, "allow-requantize", false, "encode again what is already quantized")
}

func (q *quantizeFlags) options() (quantize.Options, error) {
	o := quantize.Options{Pure: q.pure, LeaveOutputTensor: q.leaveOutput, AllowRequantize: q.requantize}
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
	for _, s := range q.tensorTypes {
		rule, err := quantize.ParseOverride(s)
		if err != nil {
			return o, usageError{err}
		}
		o.TensorTypes = append(o.TensorTypes, rule)
	}
	if q.imatrix != "" {
		m, err := imatrix.Open(q.imatrix)
		if err != nil {
			return o, err
		}
		o.Imatrix = m
		o.ImatrixName = filepath.Base(q.imatrix) // no path of the user's machine goes into a file
	}
	return o, nil
}

func quantizeCmd(a *app) *cobra.Command {
	var (
		flags  quantizeFlags
		output outputFlags
		name   string
		dry    bool
	)
	cmd := &cobra.Command{
		Use:   "quantize SRC -o FILE --type SCHEME",
		Short: "Quantize a GGUF file, or a checkpoint in one pass",
		Long: `quantize writes the bytes that llama-quantize would write. SRC is a GGUF file or a
checkpoint directory; a checkpoint is converted on the way, without an intermediate file.

A GGUF file of an architecture that moeconv does not know is quantized by llama-quantize's
general rules, with one warning: what they ask of a model (blocks, experts, heads) is found
by the last part of the keys, or else counted in the tensors. The rules llama-quantize has
for some architectures alone (falcon, glm5-next, models of the 70B class) go by name.`,
		Args: exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if flags.scheme == "" || name == "" && !dry {
				return usageError{errors.New("quantize needs --type SCHEME and -o FILE")}
			}
			scheme, err := quantize.ParseScheme(flags.scheme)
			if err != nil {
				return usageError{err}
			}
			opts, err := flags.options()
			if err != nil {
				return err
			}
			if sameFile(args[0], name) {
				return usageError{fmt.Errorf("%s is both input and output", name)}
			}
			src, err := a.open(args[0], sourceFlags{outType: flags.via, pre: flags.pre})
			if err != nil {
				return err
			}
			defer src.Close()
			opts.CountTensors = !knows(src.Metadata())
			return a.quantize(cmd, src, scheme, opts, output, name, dry)
		},
	}
	flags.register(cmd.Flags())
	output.register(cmd.Flags())
	cmd.Flags().StringVarP(&name, "output", "o", "", "the `FILE` to write")
	cmd.Flags().BoolVar(&dry, "dry-run", false, "print types, sizes and bits per weight; write nothing")
	return cmd
}

func sameFile(a, b string) bool {
	x, errA := os.Stat(a)
	y, errB := os.Stat(b)
	return errA == nil && errB == nil && os.SameFile(x, y)
}

type quantizeDoc struct {
	writtenDoc
	Scheme    string          `json:"type"`
	BPW       float64         `json:"bits_per_weight"`
	Fallbacks int             `json:"fallbacks"`
	Roles     []roleDoc       `json:"roles"`
	Types     []tensorTypeDoc `json:"tensor_types,omitempty"`
}

type roleDoc struct {
	Role  string  `json:"role"`
	Bytes int64   `json:"bytes"`
	BPW   float64 `json:"bits_per_weight"`
}

type tensorTypeDoc struct {
	Name string `json:"name"`
	Type string `json:"type"`
}

func (a *app) quantize(cmd *cobra.Command, src *model, scheme quantize.Scheme, opts quantize.Options, output outputFlags, name string, dry bool) error {
	job, err := quantize.New(src.Source, scheme, opts)
	if err != nil {
		return err
	}
	sum, err := job.Summary()
	if err != nil {
		return err
	}
	if w := sum.Warning(); w != "" {
		a.diag("warning: %s", w)
	}
	doc := quantizeDoc{writtenDoc: writtenDoc{envelope: a.envelope(), Tensors: len(sum.Tensors), DryRun: dry, Bytes: sum.FileBytes},
		Scheme: scheme.Name, BPW: sum.BitsPerWeight, Fallbacks: len(sum.Fallbacks)}
	for _, c := range sum.Classes {
		doc.Roles = append(doc.Roles, roleDoc{c.Class.String(), c.Bytes, c.BitsPerWeight})
	}
	if dry {
		for _, t := range sum.Tensors {
			doc.Types = append(doc.Types, tensorTypeDoc{t.Name, t.Type.String()})
		}
		return a.emit(doc, doc.printPlan)
	}
	out := gguf.Source(job)
	if _, marked := job.Metadata().Get(expert.KeyNames); marked { // the marks record bytes, which have changed
		if out, _, err = expert.Tag(job); err != nil {
			return err
		}
	}
	if doc.Files, err = a.write(cmd, name, out, output); err != nil {
		return err
	}
	return a.emit(doc, doc.print)
}

func (d *quantizeDoc) printPlan(w io.Writer) error {
	var b strings.Builder
	for _, t := range d.Types {
		fmt.Fprintf(&b, "%-8s %s\n", t.Type, t.Name)
	}
	b.WriteString("\n")
	for _, r := range d.Roles {
		fmt.Fprintf(&b, "%-16s %8.4f bits per weight  %s\n", r.Role, r.BPW, formatBytes(r.Bytes))
	}
	fmt.Fprintf(&b, "%-16s %8.4f bits per weight  %s\n", d.Scheme, d.BPW, formatBytes(d.Bytes))
	_, err := io.WriteString(w, b.String())
	return err
}
