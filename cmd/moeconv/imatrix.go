package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/quantize/imatrix"
	"github.com/moeconv/moeconv/runtime"
)

// imatrixFlags are llama-imatrix's, and some of our own.
type imatrixFlags struct {
	src         sourceFlags
	run         runFlags
	file        string
	output      string
	inFiles     []string
	from        int
	chunks      int
	every       int
	copies      int
	special     bool
	out         bool
	noPPL       bool
	statistics  bool
	force       bool
	minCoverage float64
}

func imatrixCmd(a *app) *cobra.Command {
	var f imatrixFlags
	cmd := &cobra.Command{
		Use:   "imatrix [SRC] -f TEXT -o {name}-imatrix.gguf",
		Short: "Gather an importance matrix, add matrices up, or show what is in one",
		Long: `imatrix runs a text through a model, a GGUF file or a checkpoint, and sums up the
squares of what each column of its weights meets: the importance matrix that quantize
--imatrix and llama-quantize take. The file is llama-imatrix's, its flags have their names.

Every --output-frequency chunks the state is written to the output's .part file, from
which the same command goes on after an interruption. A model larger than memory is read
once, block by block, for all chunks (--layer-major); such a run is not taken up again. --in-file (repeatable) adds
matrices made before, in llama.cpp's GGUF or older form; without -f it only adds them up.

The coverage report counts how many experts the text has reached; experts that it never
reached would be quantized as if all of their columns mattered alike. --min-coverage fails
with status 3 below a share of experts.`,
		Args: usageArgs(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error { return a.imatrix(cmd, args, f) },
	}
	f.src.register(cmd.Flags(), "auto")
	f.run.register(cmd.Flags(), "integers", "f16")
	f.run.layers.register(cmd.Flags())
	fs := cmd.Flags()
	fs.StringVarP(&f.file, "file", "f", "", "the text `FILE`")
	fs.StringVarP(&f.output, "output", "o", "imatrix.gguf", "the output `FILE`; its name must contain imatrix; {name} stands for SRC's")
	fs.StringArrayVar(&f.inFiles, "in-file", nil, "add this matrix `FILE`, repeatable or with commas")
	fs.IntVar(&f.from, "from-chunk", 0, "leave out the first `N` chunks")
	fs.IntVar(&f.from, "chunk", 0, "the same")
	fs.IntVar(&f.chunks, "chunks", -1, "run at most `N` chunks (-1: all)")
	fs.IntVar(&f.every, "output-frequency", 10, "save the state every `N` chunks")
	fs.IntVar(&f.copies, "save-frequency", 0, "save a copy of the matrix, FILE.at_N, every `N` chunks (0: never)")
	fs.BoolVar(&f.special, "parse-special", false, "control tokens written out in the text become their ids")
	fs.BoolVar(&f.out, "process-output", false, "gather for the output tensor, too")
	fs.BoolVar(&f.noPPL, "no-ppl", false, "do not compute the perplexity")
	fs.BoolVar(&f.statistics, "show-statistics", false, "show the statistics of the one --in-file, and do nothing else")
	fs.BoolVar(&f.force, "force", false, "replace an existing output, and start afresh")
	fs.Float64Var(&f.minCoverage, "min-coverage", 0, "fail with status 3 if less than this `SHARE` of experts is reached (0 to 1)")
	return cmd
}

func (f *imatrixFlags) check(args []string) error {
	var files []string
	for _, s := range f.inFiles {
		files = append(files, strings.Split(s, ",")...)
	}
	f.inFiles = files
	switch {
	case f.statistics && len(f.inFiles) != 1:
		return errors.New("--show-statistics needs one --in-file")
	case f.statistics:
		return nil
	case f.file == "" && len(f.inFiles) == 0:
		return errors.New("imatrix needs -f TEXT, or --in-file to add up")
	case f.file != "" && len(args) == 0:
		return errors.New("imatrix needs SRC to run the text")
	case !strings.Contains(strings.ToLower(filepath.Base(f.output)), "imatrix"):
		return withHint(fmt.Errorf("-o %s: the name must contain imatrix", f.output), "llama.cpp tells matrices from models by that word when it downloads")
	case f.every < 1 || f.from < 0 || f.copies < 0:
		return errors.New("--output-frequency must be above 0, --from-chunk and --save-frequency not below")
	case !(f.minCoverage >= 0 && f.minCoverage <= 1):
		return fmt.Errorf("--min-coverage %v: want 0 to 1", f.minCoverage)
	}
	return nil
}

func (a *app) imatrix(cmd *cobra.Command, args []string, f imatrixFlags) error {
	if err := f.check(args); err != nil {
		return usageError{err}
	}
	chunk := f.run.context
	if chunk == 0 {
		chunk = 512
	}
	f.run.context = chunk
	loaded := make([]*imatrix.Sums, len(f.inFiles))
	for i, name := range f.inFiles {
		var err error
		if loaded[i], err = imatrix.OpenSums(name, chunk); err != nil {
			return err
		}
	}
	if f.statistics {
		doc := statisticsDoc{envelope: a.envelope(), Tensors: loaded[0].Statistics()}
		return a.emit(doc, doc.print)
	}
	sums := imatrix.NewSums(chunk)
	if f.file == "" && !cmd.Flags().Changed("ctx") {
		sums.ChunkSize = loaded[0].ChunkSize
	}
	for i, s := range loaded {
		if err := sums.Add(s); err != nil {
			return fmt.Errorf("%s: %w", f.inFiles[i], err)
		}
	}
	if err := f.place(args); err != nil {
		return err
	}
	var m *runtime.Model
	if f.file != "" {
		model, done, err := a.load(args[0], f.src, f.run, cmd)
		if err != nil {
			return err
		}
		defer done()
		m = model
	}
	g := a.newGathering(&f, m, sums)
	if f.file != "" {
		if err := g.run(cmd, args); err != nil {
			return err
		}
	}
	if err := g.Conclude(cmd.Context()); err != nil {
		return err
	}
	return g.report()
}

// place makes the output's name, and refuses to replace a file.
func (f *imatrixFlags) place(args []string) error {
	if strings.Contains(f.output, "{name}") {
		if len(args) == 0 {
			return usageError{errors.New("{name} in -o needs SRC")}
		}
		dir, err := filepath.Abs(args[0])
		if err != nil {
			return err
		}
		f.output = strings.ReplaceAll(f.output, "{name}", strings.TrimSuffix(filepath.Base(dir), ".gguf"))
	}
	if _, err := os.Lstat(f.output); err == nil && !f.force {
		return &gguf.ExistsError{Path: f.output}
	}
	if err := os.MkdirAll(filepath.Dir(f.output), 0o777); err != nil {
		return fmt.Errorf("folder of the output: %w", err)
	}
	return nil
}
