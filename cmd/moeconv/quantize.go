package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/quantize"
)

func quantizeCmd(a *app) *cobra.Command {
	var (
		flags  quantizeFlags
		output outputFlags
		list   outputList
		dry    bool
	)
	cmd := &cobra.Command{
		Use:   "quantize SRC -o FILE --type SCHEME [-o FILE --type SCHEME].. | quantize IN [OUT] TYPE [NTHREADS]",
		Short: "Quantize a GGUF file, or a checkpoint in one pass",
		Long: `quantize writes the bytes that llama-quantize would write. SRC is a GGUF file or a
checkpoint directory; a checkpoint is converted on the way, without an intermediate file.

Any number of outputs are written in one pass over SRC: -o a.gguf --type Q8_0 -o b.gguf
--type Q4_K_M, or --types Q8_0,Q4_K_M --outdir DIR. --disk SIZE bounds what they take on the
disk: they are then written in waves, and --after-wave COMMAND (run by sh, the files are its
arguments: 'mv "$@" /elsewhere') or anyone else takes finished ones away; where nobody has,
the exit status is 5 and the same command goes on later.

While it runs the outputs are called .part, with a journal beside them. A run that was
stopped by whatever it was goes on when the same command is given, with the same bytes in
the end. SHA256SUMS in the outputs' folder gets their SHA-256.

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
				output.threads = cmp.Or(line.threads, output.threads)
			}
			requests, err := list.requests(line, dry, flags.target)
			if err != nil {
				return err
			}
			opts, err := flags.options()
			if err != nil {
				return err
			}
			if opts.Imatrix != nil && opts.Imatrix.Len() == 0 {
				a.diag("warning: --include-weights and --exclude-weights leave no entry of the importance matrix: it is not used")
			}
			if cmd.Flags().Changed("max-buffer-size") {
				if flags.bufferMiB <= 0 {
					return usageError{fmt.Errorf("--max-buffer-size %d: want a number of MiB", flags.bufferMiB)}
				}
				output.memory = fmt.Sprintf("%dMiB", flags.bufferMiB)
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
			opts.PlanOnly = dry
			q := quantization{cmd, line.src, src, requests, opts, list, output, flags.target, len(flags.rules), dry}
			return a.quantize(&q)
		},
	}
	flags.register(cmd.Flags())
	output.register(cmd.Flags())
	list.register(cmd.Flags())
	cmd.Flags().StringVar(&output.disk, "disk", "", "let the outputs take at most this `SIZE` on the disk at a time")
	cmd.Flags().StringVar(&output.afterWave, "after-wave", "", "with --disk: `COMMAND` to run when outputs are finished")
	cmd.Flags().BoolVar(&dry, "dry-run", false, "print types, sizes and bits per weight; write nothing")
	return cmd
}

func sameFile(a, b string) bool {
	x, errA := os.Stat(a)
	y, errB := os.Stat(b)
	return errA == nil && errB == nil && os.SameFile(x, y)
}

// quantization is one run of quantize.
type quantization struct {
	cmd      *cobra.Command
	arg      string // SRC
	src      *model
	requests []request
	opts     quantize.Options
	list     outputList
	output   outputFlags
	budget   targetFlags
	rules    int // of the user, the first of opts
	dry      bool
}

func (a *app) quantize(q *quantization) error {
	if err := q.keepSplit(); err != nil {
		return err
	}
	_, files, err := q.output.job(nil)
	if err != nil {
		return err
	}
	if q.budget.set() {
		if err := q.keepBudget(files); err != nil {
			return err
		}
	}
	var targets []target
	for _, r := range q.requests {
		t, err := a.target(q, r)
		if err != nil {
			return err
		}
		if len(q.list.types) > 0 {
			if t.name, err = q.list.fileName(q.src.baseName(q.arg), t, files); err != nil {
				return err
			}
		}
		if q.output.splitAt != nil {
			t.name = keptName(t.name, len(q.output.splitAt))
		}
		if t.bytes, err = q.planned(t, files); err != nil {
			return err
		}
		targets = append(targets, t)
	}
	if file := q.budget.rules; file != "" {
		if err := writeRules(file, targets[0].job, q.cmd.Flags()); err != nil {
			return err
		}
	}
	doc := newQuantizeDoc(a.envelope(), targets, q.dry)
	if q.dry {
		return a.emit(doc, doc.printPlan)
	}
	return a.writeTargets(q, targets, doc)
}

// keepSplit makes the outputs' shards those of the source where that is wanted.
func (q *quantization) keepSplit() error {
	if !q.list.keepSplit {
		return nil
	}
	if q.output.splits() {
		return usageError{errors.New("--keep-split goes without other flags of splitting")}
	}
	var err error
	q.opts.Order, q.output.splitAt, err = q.src.shardsLike()
	return err
}

// planned is the size of an output. It refuses one that would replace a file of the source.
func (q *quantization) planned(t target, files gguf.FileOptions) (int64, error) {
	inputs := []string{q.arg}
	if q.src.file != nil {
		for _, s := range q.src.file.Shards() {
			inputs = append(inputs, s.Path)
		}
	}
	parts, err := gguf.Parts(cmp.Or(t.name, "model.gguf"), t.src, files)
	if err != nil {
		return 0, err
	}
	var n int64
	for _, p := range parts {
		n += p.Bytes
		for _, in := range inputs {
			if !q.dry && sameFile(in, p.Path) {
				return 0, usageError{fmt.Errorf("%s is both input and output", p.Path)}
			}
		}
	}
	if info, err := os.Stat(t.name); err == nil && info.IsDir() && !q.dry {
		return 0, withHint(usageError{fmt.Errorf("%s is a folder", t.name)}, "--types SCHEMES --outdir DIR chooses names in it")
	}
	return n, nil
}

func (a *app) writeTargets(q *quantization, targets []target, doc *quantizeDoc) error {
	key, err := q.key()
	if err != nil {
		return err
	}
	var outs []outputFile
	var jobs []*quantize.Job
	for _, t := range targets {
		jobs = append(jobs, t.job)
		outs = append(outs, outputFile{t.name, t.src, append([]string{"type " + t.doc.Scheme}, key...)})
	}
	batch, err := quantize.NewBatch(jobs...)
	if err != nil {
		return err
	}
	return a.write(q.cmd, []string{q.arg}, outs, batch.ReadRows, q.output, func(files [][]writtenFile) error {
		doc.written(files)
		return a.emit(doc, doc.print)
	})
}

// key says what the outputs' bytes depend on besides flags: what is in the files that these name, and what was chosen.
func (q *quantization) key() ([]string, error) {
	var key []string
	for _, r := range q.opts.TensorTypes {
		key = append(key, "rule "+r.String())
	}
	name := q.cmd.Flag("imatrix").Value.String()
	if name == "" {
		return key, nil
	}
	sum, err := hashOf(name)
	return append(key, "importance matrix "+sum), err
}
