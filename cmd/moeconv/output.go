package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/recipes"
)

// outputFlags are the flags of every verb that writes a model.
type outputFlags struct {
	splitMaxSize    string
	splitMaxTensors int
	metadataFirst   bool
	force           bool
	memory          string
	threads         int
	unpadded        bool // of a vocabulary alone; no flag
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
	f.StringVar(&o.memory, "memory", "512MiB", "bound of the memory of rows in flight")
	f.IntVar(&o.threads, "threads", 0, "number of threads (default: all cores)")
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

// write carries src into the file name with progress.
func (a *app) write(cmd *cobra.Command, name string, src gguf.Source, output outputFlags) ([]writtenFile, error) {
	progress, done := a.track("write "+name, true)
	defer done()
	opts, err := output.options(progress)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
		return nil, fmt.Errorf("folder of the output: %w", err)
	}
	files, err := gguf.WriteFile(cmd.Context(), name, src, opts)
	if err != nil {
		return nil, err
	}
	out := make([]writtenFile, len(files))
	for i, f := range files {
		out[i] = writtenFile{f.Path, f.Bytes, f.SHA256}
	}
	return out, nil
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
