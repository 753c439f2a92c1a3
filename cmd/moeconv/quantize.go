package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/gguf/expert"
	"github.com/moeconv/moeconv/quantize"
)

func quantizeCmd(a *app) *cobra.Command {
	var (
		flags  quantizeFlags
		output outputFlags
		name   string
		dry    bool
	)
	cmd := &cobra.Command{
		Use:   "quantize SRC -o FILE --type SCHEME | quantize IN [OUT] TYPE [NTHREADS]",
		Short: "Quantize a GGUF file, or a checkpoint in one pass",
		Long: `quantize writes the bytes that llama-quantize would write. SRC is a GGUF file or a
checkpoint directory; a checkpoint is converted on the way, without an intermediate file.

A GGUF file of an architecture that moeconv does not know is quantized by llama-quantize's
general rules, with one warning: what they ask of a model (blocks, experts, heads) is found
by the last part of the keys, or else counted in the tensors. The rules llama-quantize has
for some architectures alone (falcon, glm5-next, models of the 70B class) go by name.`,
		Args: usageArgs(cobra.RangeArgs(1, 4)),
		RunE: func(cmd *cobra.Command, args []string) error {
			line, err := parseQuantizeArgs(args)
			if err != nil {
				return err
			}
			if line.llama {
				if flags.scheme != "" || name != "" {
					return usageError{errors.New("IN [OUT] TYPE goes without -o and --type")}
				}
				flags.scheme, name = line.scheme, line.out
				output.threads = cmp.Or(line.threads, output.threads)
			}
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
			if !dry && sameFile(line.src, name) {
				return usageError{fmt.Errorf("%s is both input and output", name)}
			}
			src, err := a.open(line.src, sourceFlags{outType: flags.via, pre: flags.pre})
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
