package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/moeconv/moeconv/recipes"
	"github.com/moeconv/moeconv/recipes/hub"
)

type releaseDoc struct {
	envelope
	*recipes.Report
	Held []string `json:"held"`
}

func hf2ggufCmd(a *app) *cobra.Command {
	var flags releaseFlags
	cmd := &cobra.Command{
		Use:   "hf2gguf RECIPE or DIR or OWNER/NAME[@REV]",
		Short: "Carry a checkpoint through every stage: convert, tag, quantize, verify",
		Long: `hf2gguf runs a recipe (an embedded one by name, or a file) or, for a checkpoint
directory or a repository on the HuggingFace Hub, the default recipe: source check,
convert, tag, quantize, verify, and with --publish publish. A repository, also a recipe's,
is downloaded first, as moeconv download does it, unless --model says where it lies. All
files are written in one pass. A second run of a finished job writes nothing; one that was
stopped goes on where it was. A file that fails its gate is named and the exit status is 3;
the others stay publishable.`,
		Args: exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := flags.options(args[0])
			if err != nil {
				return err
			}
			flags.o.Observer, flags.o.Tool = observer{a}, tool()
			return a.release(cmd, r, flags.o)
		},
	}
	flags.register(cmd.Flags())
	return cmd
}

// releaseFlags are those of hf2gguf.
type releaseFlags struct {
	o                   recipes.Options
	types               []string
	memory, share, disk string
	upload              bool
}

func (r *releaseFlags) register(f *pflag.FlagSet) {
	f.StringVar(&r.o.Model, "model", "", "the checkpoint's `DIR`")
	f.StringVar(&r.o.Out, "out", ".", "`DIR` of the outputs")
	f.StringSliceVar(&r.types, "types", nil, "`SCHEMES` to write instead of the recipe's: Q8_0,Q4_K_M")
	f.BoolVar(&r.o.AsReference, "as-reference", false, "reproduce the reference's metadata defects: apply no fixes")
	f.BoolVar(&r.o.Force, "force", false, "write everything anew, replacing existing outputs")
	f.BoolVar(&r.o.UpdateLock, "update-lock", false, "take the checkpoint as it is now, whatever the recipe's lock file says")
	f.StringVar(&r.o.Until, "until", "", "stop after this `STAGE`: "+strings.Join(recipes.Stages, ", "))
	f.BoolVar(&r.upload, "publish", false, "publish what passed to the recipe's publish.repo; the same as --until publish")
	f.StringVar(&r.disk, "disk", "", "`SIZE` that the outputs may take; what does not fit is made in waves, which --publish takes away")
	f.StringVar(&r.share, "job", "", "write job `I/N` of the release alone: N machines that share DIR need nothing else")
	f.BoolVar(&r.o.Collect, "collect", false, "check and join what the jobs of the release wrote, then go on")
	f.IntVar(&r.o.Threads, "threads", 0, "number of threads (default: all cores)")
	f.StringVar(&r.memory, "memory", "512MiB", "bound of the memory of rows in flight")
	f.StringVar(&r.o.Pre, "pre", "", "`NAME` of the pre-tokenizer if it cannot be told")
}

// options checks the flags and finds the recipe.
func (r *releaseFlags) options(arg string) (*recipes.Recipe, error) {
	o := &r.o
	rec, err := findRecipe(arg, o)
	if err != nil {
		return nil, err
	}
	if len(r.types) > 0 {
		if rec, err = rec.WithTypes(r.types); err != nil {
			return nil, usageError{err}
		}
	}
	switch {
	case o.Until != "" && !slices.Contains(recipes.Stages, o.Until):
		return nil, usageError{fmt.Errorf("--until %s: want one of %s", o.Until, strings.Join(recipes.Stages, ", "))}
	case r.upload && o.Until != "" && o.Until != "publish":
		return nil, usageError{fmt.Errorf("--publish and --until %s do not go together", o.Until)}
	case r.share != "" && o.Collect:
		return nil, usageError{errors.New("--collect joins what jobs wrote; it goes without --job")}
	case o.Threads < 0:
		return nil, usageError{errors.New("--threads may not be negative")}
	}
	if r.upload {
		o.Until = "publish"
	}
	if o.Memory, err = recipes.ParseSize(r.memory); err != nil {
		return nil, usageError{fmt.Errorf("--memory: %w", err)}
	}
	if disk := cmp.Or(r.disk, rec.Disk); disk != "" {
		if o.Disk, err = recipes.ParseSize(disk); err != nil {
			return nil, usageError{fmt.Errorf("--disk: %w", err)}
		}
	}
	if r.share != "" {
		if o.Job, err = recipes.ParseShare(r.share); err != nil {
			return nil, usageError{fmt.Errorf("--job %w", err)}
		}
	}
	return rec, nil
}

// findRecipe is the recipe of that name or file; for a checkpoint directory the default one.
func findRecipe(arg string, o *recipes.Options) (*recipes.Recipe, error) {
	if slices.Contains(recipes.Names(), arg) {
		return recipes.Load(arg)
	}
	info, err := os.Stat(arg)
	if errors.Is(err, fs.ErrNotExist) {
		if repo, ok := hub.ParseRepo(arg); ok && filepath.Ext(arg) != ".yaml" {
			return recipes.ForRepo(repo)
		}
		return nil, withHint(fmt.Errorf("%s is no recipe, no directory and no OWNER/NAME", arg), "embedded recipes: "+strings.Join(recipes.Names(), ", "))
	}
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return recipes.Load(arg)
	}
	if o.Model != "" {
		return nil, usageError{errors.New("--model goes with a recipe; the checkpoint is given already")}
	}
	o.Model = arg
	return recipes.Default()
}

// observer shows a run's progress.
type observer struct{ a *app }

func (o observer) Note(line string) { o.a.diag("%s", line) }

func (o observer) Track(stage string, bytes bool) (func(done, total int64), func()) {
	return o.a.track(stage, bytes)
}

func (a *app) release(cmd *cobra.Command, r *recipes.Recipe, o recipes.Options) error {
	report, err := recipes.Run(cmd.Context(), r, o)
	if err != nil {
		return err
	}
	doc := releaseDoc{a.envelope(), report, report.Held()}
	if err := a.emit(doc, func(w io.Writer) error { return printRelease(w, report, o.Out) }); err != nil {
		return err
	}
	if failed := report.Failed(); len(failed) > 0 {
		return checkError{"held back: " + strings.Join(failed, ", ")}
	}
	return nil
}

func printRelease(w io.Writer, r *recipes.Report, out string) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s (%s)\n", r.Name, r.Arch)
	for _, s := range r.Stages {
		fmt.Fprintf(&b, "  %-9s %s\n", s.Name, s.Note)
	}
	for _, f := range r.Fixes {
		state := "mended"
		if !f.Changed {
			state = "already right"
		}
		fmt.Fprintf(&b, "  fix       %s: %s = %s (%s)\n", f.Name, f.Key, f.After, state)
	}
	if r.AsReference {
		for _, d := range r.Defects {
			fmt.Fprintf(&b, "  defect    %s: %s\n", d.Key, d.What)
		}
	}
	if q := r.Baseline; q != nil {
		fmt.Fprintf(&b, "  source    perplexity %.4f +/- %.4f over %s\n", q.Perplexity, q.Error, r.Measured)
	}
	if len(r.Outputs) > 0 {
		b.WriteString(releaseTable(r))
	}
	for _, o := range r.Outputs {
		if o.Verify != nil && o.Verdict != "pass" {
			b.WriteString("\n" + strings.Join(o.Verify.Remarks(), "\n"))
		}
	}
	if r.Idle() {
		b.WriteString("\nnothing to do: " + r.Standing())
	}
	if r.File != "" {
		fmt.Fprintf(&b, "\nreport: %s, .md, .html", filepath.Join(out, r.File))
	}
	_, err := fmt.Fprintln(w, strings.TrimRight(b.String(), "\n"))
	return err
}

func releaseTable(r *recipes.Report) string {
	t := table.NewWriter()
	t.SetStyle(table.StyleLight)
	t.AppendHeader(table.Row{"file", "bytes", "MB", "bits/weight", "perplexity", "mean KLD", "same top", "verdict"})
	for _, o := range r.Outputs {
		row := table.Row{o.Name(), o.Bytes, fmt.Sprintf("%.2f", float64(o.Bytes)/1e6), fmt.Sprintf("%.3f", o.BPW), "", "", "", o.Verdict}
		if q := o.Quality; q != nil {
			row[4], row[5], row[6] = fmt.Sprintf("%.4f", q.Perplexity), fmt.Sprintf("%.6f", q.MeanKLD), fmt.Sprintf("%.2f%%", 100*q.Top1)
		}
		t.AppendRow(row)
	}
	return t.Render()
}
