package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"

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
for some architectures alone (falcon, glm5-next, models of the 70B class) go by name.

llama-quantize's command lines work: quantize IN [OUT] TYPE [NTHREADS] with its flags, OUT
being ggml-model-TYPE.gguf beside IN; only that an existing output is not replaced without
--force.

` + quantizeHelp,
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
			if cmd.Flags().Changed("max-buffer-size") {
				if flags.bufferMiB <= 0 {
					return usageError{fmt.Errorf("--max-buffer-size %d: want a number of MiB", flags.bufferMiB)}
				}
				output.memory = fmt.Sprintf("%dMiB", flags.bufferMiB)
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
			if src.Source, err = a.pruned(src.Source, flags.prune); err != nil {
				return err
			}
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

func (a *app) quantize(cmd *cobra.Command, src *model, scheme quantize.Scheme, opts quantize.Options, output outputFlags, name string, dry bool) error {
	opts.PlanOnly = dry
	job, err := quantize.New(src.Source, scheme, opts)
	if err != nil {
		return err
	}
	doc := quantizeDoc{writtenDoc: writtenDoc{envelope: a.envelope(), Tensors: len(job.Tensors()), DryRun: dry}}
	if doc.jobDoc, err = a.describe(job); err != nil {
		return err
	}
	out := gguf.Source(job)
	if _, marked := job.Metadata().Get(expert.KeyNames); marked { // the marks record bytes, which have changed
		if out, _, err = expert.Tag(job); err != nil {
			return err
		}
	}
	layout, err := gguf.Layout(out.Metadata(), out.Tensors())
	if err != nil {
		return err
	}
	doc.Bytes = layout.Size
	if dry {
		return a.emit(doc, doc.printPlan)
	}
	doc.Types = nil
	if doc.Files, err = a.write(cmd, name, out, output); err != nil {
		return err
	}
	return a.emit(doc, doc.print)
}
