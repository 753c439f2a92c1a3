package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/recipes"
)

// defaultMemory bounds rows in flight where nothing else is said.
const defaultMemory = "512MiB"

// outputFlags are the flags of every verb that writes a model.
type outputFlags struct {
	splitMaxSize    string
	splitMaxTensors int
	metadataFirst   bool
	force           bool
	check           bool
	memory          string
	threads         int
	disk            string // of quantize alone, as is the next
	afterWave       string
	splitAt         []int // where --keep-split ends shards; no flag
	asTool          bool  // a set as llama-gguf-split makes it; no flag
	unpadded        bool  // of a vocabulary alone; no flag
}

// splits reports whether the flags ask for shards.
func (o *outputFlags) splits() bool {
	return o.splitMaxSize != "" || o.splitMaxTensors > 0 || o.metadataFirst
}

func (o *outputFlags) register(f *pflag.FlagSet) {
	f.StringVar(&o.splitMaxSize, "split-max-size", "", "write shards of at most this `SIZE` (50G is decimal)")
	f.IntVar(&o.splitMaxTensors, "split-max-tensors", 0, "write shards of at most `N` tensors")
	f.BoolVar(&o.metadataFirst, "metadata-first", false, "put no tensor into the first shard")
	f.BoolVar(&o.metadataFirst, "no-tensor-first-split", false, "the same, as the reference spells it")
	f.BoolVar(&o.force, "force", false, "replace an existing output")
	f.BoolVar(&o.check, "check", false, "read the output back and compare its SHA-256 before it gets its name")
	f.StringVar(&o.memory, "memory", defaultMemory, "bound of the memory of rows in flight")
	f.IntVar(&o.threads, "threads", 0, "number of threads (default: all cores)")
}

// job is a job of these flags without outputs; progress may be nil.
func (o *outputFlags) job(progress func(done, total int64)) (gguf.Job, gguf.FileOptions, error) {
	opts, err := o.options(progress)
	j := gguf.Job{WriteOptions: opts.WriteOptions, Check: o.check}
	if err == nil && o.disk != "" {
		if j.Disk, err = recipes.ParseSize(o.disk); err != nil {
			err = usageError{fmt.Errorf("--disk: %w", err)}
		}
	}
	return j, opts, err
}

func (o *outputFlags) options(progress func(done, total int64)) (gguf.FileOptions, error) {
	opts := gguf.FileOptions{SplitMaxTensors: o.splitMaxTensors, MetadataFirst: o.metadataFirst, Force: o.force}
	opts.Progress = progress
	if o.threads < 0 || o.splitMaxTensors < 0 {
		return opts, usageError{fmt.Errorf("--threads and --split-max-tensors may not be negative")}
	}
	opts.Workers = o.threads
	var err error
	if opts.Memory, err = recipes.ParseSize(o.memory); err != nil {
		return opts, usageError{fmt.Errorf("--memory: %w", err)}
	}
	opts.Unpadded = o.unpadded
	if o.asTool {
		opts.Set, opts.SplitStyle = true, gguf.SplitAsTool
	}
	if o.splitAt != nil {
		opts.SplitAt, opts.SplitStyle = o.splitAt, gguf.SplitAsQuantizer
	}
	if o.splitMaxSize != "" {
		if opts.SplitMaxSize, err = recipes.ParseSize(o.splitMaxSize); err != nil {
			return opts, usageError{fmt.Errorf("--split-max-size: %w", err)}
		}
	}
	return opts, nil
}

// writtenFile is one output in the JSON documents.
type writtenFile struct {
	Path   string `json:"path"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
}

type writtenDoc struct {
	envelope
	Files   []writtenFile `json:"files"`
	Tensors int           `json:"tensors"`
	DryRun  bool          `json:"dry_run,omitempty"`
	Bytes   int64         `json:"total_bytes"`
	Quirks  []quirkDoc    `json:"reference_defects,omitempty"`
}

type quirkDoc struct {
	Key  string `json:"key"`
	What string `json:"what"`
}

// journalEvery is how often journals are renewed; the writer's default if 0. Tests have them renewed more often.
var journalEvery int64

// outputFile is one output that a command writes.
type outputFile struct {
	name string
	src  gguf.Source
	key  []string // what its bytes depend on besides the command's flags
}

// write carries outputs of SRC into their files in one pass, with progress; rows may be nil. emit prints the result: it
// runs before the job is forgotten, so that a crash never leaves finished files that the same command does not know.
func (a *app) write(cmd *cobra.Command, args []string, outs []outputFile, rows gguf.Rows, flags outputFlags, emit func([][]writtenFile) error) error {
	title := "write " + outs[0].name
	if len(outs) > 1 {
		title += fmt.Sprintf(" and %d more", len(outs)-1)
	}
	progress, done := a.track(title, true)
	defer done()
	job, opts, err := flags.job(progress)
	if err != nil {
		return err
	}
	if job.Inputs, err = fingerprint(args); err != nil {
		return err
	}
	job.JournalEvery = journalEvery
	job.Rows, job.Note = rows, func(line string) { a.diag("note: %s", line) }
	key := flagKey(cmd.Flags())
	for _, o := range outs {
		if err := os.MkdirAll(filepath.Dir(o.name), 0o777); err != nil {
			return fmt.Errorf("folder of the output: %w", err)
		}
		job.Outputs = append(job.Outputs, gguf.Output{Name: o.name, Source: o.src, Options: opts, Key: slices.Concat(key, o.key)})
	}
	job.AfterWave = func(ctx context.Context, files [][]gguf.Written) error {
		if err := gguf.RecordSums(slices.Concat(files...)); err != nil {
			return err
		}
		return a.afterWave(ctx, flags.afterWave, slices.Concat(files...))
	}
	job.Finished = func(files [][]gguf.Written) error {
		done()
		var written [][]writtenFile
		for _, f := range files {
			written = append(written, writtenFiles(f))
		}
		return emit(written)
	}
	_, err = job.Run(cmd.Context())
	return err
}

// afterWave runs the user's command with the files of a wave as its arguments.
func (a *app) afterWave(ctx context.Context, command string, files []gguf.Written) error {
	if command == "" {
		return nil
	}
	args := []string{"-c", command, "sh"}
	for _, f := range files {
		args = append(args, f.Path)
	}
	c := exec.CommandContext(ctx, "sh", args...)
	c.Stdout, c.Stderr = a.stderr, a.stderr
	if err := c.Run(); err != nil {
		return fmt.Errorf("--after-wave %s: %w", command, err)
	}
	return nil
}

func writtenFiles(files []gguf.Written) []writtenFile {
	out := make([]writtenFile, len(files))
	for i, f := range files {
		out[i] = writtenFile{f.Path, f.Bytes, f.SHA256}
	}
	return out
}

func (d *writtenDoc) print(w io.Writer) error {
	if d.DryRun {
		_, err := fmt.Fprintf(w, "%d tensors, %s\n", d.Tensors, formatBytes(d.Bytes))
		return err
	}
	for _, f := range d.Files {
		if _, err := fmt.Fprintf(w, "%s  %s  %s\n", f.SHA256, f.Path, formatBytes(f.Bytes)); err != nil {
			return err
		}
	}
	return nil
}

// formatBytes gives exact bytes and both units, so that nobody has to guess which GB is meant.
func formatBytes(n int64) string {
	switch f := float64(n); {
	case n >= 1<<30:
		return fmt.Sprintf("%d bytes (%.2f GiB, %.2f GB)", n, f/(1<<30), f/1e9)
	case n >= 1<<20:
		return fmt.Sprintf("%d bytes (%.2f MiB, %.2f MB)", n, f/(1<<20), f/1e6)
	}
	return fmt.Sprintf("%d bytes", n)
}
