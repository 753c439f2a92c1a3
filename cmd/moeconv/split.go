package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/moeconv/moeconv/gguf"
)

// splitTensors is how many tensors llama-gguf-split puts into a shard unless told otherwise.
const splitTensors = 128

type splitDoc struct {
	envelope
	DryRun  bool       `json:"dry_run,omitempty"`
	Tensors int        `json:"tensors"`
	Bytes   int64      `json:"total_bytes"`
	Files   []shardDoc `json:"files"`
}

type shardDoc struct {
	Path    string `json:"path"`
	Bytes   int64  `json:"bytes"`
	Tensors int    `json:"tensors"`
	SHA256  string `json:"sha256,omitempty"`
}

func splitCmd(a *app) *cobra.Command {
	var (
		output outputFlags
		name   string
		dry    bool
	)
	cmd := &cobra.Command{
		Use:   "split SRC -o PREFIX",
		Short: "Write a file as shards PREFIX-00001-of-0000N.gguf",
		Long: `split writes the bytes that llama-gguf-split writes, for files of any architecture:
--split-max-size bounds the tensors of a shard (50G is decimal; a larger tensor has a
shard of its own), --split-max-tensors cuts after every N tensors (128 where neither is
given). SRC may itself be a set of shards. --metadata-first makes a first shard without
tensors, so that later edits of the metadata are a small upload.`,
		Args: exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if name == "" {
				return usageError{errors.New("split needs -o PREFIX")}
			}
			if err := checkPrefix(name); err != nil {
				return err
			}
			size, tensors := cmd.Flags().Changed("split-max-size"), cmd.Flags().Changed("split-max-tensors")
			switch {
			case size && tensors:
				return usageError{errors.New("--split-max-size and --split-max-tensors do not go together")}
			case tensors && output.splitMaxTensors < 1:
				return usageError{fmt.Errorf("--split-max-tensors %d: want 1 or more", output.splitMaxTensors)}
			case !size && !tensors:
				output.splitMaxTensors = splitTensors
			}
			return a.split(cmd, args[0], name, output, dry)
		},
	}
	output.register(cmd.Flags())
	cmd.Flags().StringVarP(&name, "output", "o", "", "`PREFIX` of the shards' names; .gguf at its end is dropped")
	cmd.Flags().BoolVar(&dry, "dry-run", false, "list the shards; write nothing")
	return cmd
}

// checkPrefix refuses names that would make shards' names nobody wants.
func checkPrefix(name string) error {
	info, err := os.Stat(name)
	if err == nil && info.IsDir() || os.IsPathSeparator(name[len(name)-1]) {
		return withHint(usageError{fmt.Errorf("%s is a folder", name)}, "-o also names the shards: "+filepath.Join(name, "NAME"))
	}
	if prefix, _, _, ok := gguf.ParseShardName(name); ok {
		return withHint(usageError{fmt.Errorf("%s is the name of one shard", name)}, "the numbers are added: -o "+prefix)
	}
	return nil
}

func (a *app) split(cmd *cobra.Command, from, name string, output outputFlags, dry bool) error {
	output.asTool = true
	_, opts, err := output.job(nil)
	if err != nil {
		return err
	}
	src, err := a.open(from, sourceFlags{outType: "auto"})
	if err != nil {
		return err
	}
	defer src.Close()
	parts, err := gguf.Parts(name, src.Source, opts)
	if err != nil {
		return err
	}
	doc := splitDoc{envelope: a.envelope(), DryRun: dry, Tensors: len(src.Tensors())}
	for _, p := range parts {
		doc.Files = append(doc.Files, shardDoc{Path: p.Path, Bytes: p.Bytes, Tensors: p.Tensors})
		doc.Bytes += p.Bytes
	}
	for _, t := range src.Tensors() {
		if n := t.Bytes(); opts.SplitMaxSize > 0 && n > opts.SplitMaxSize {
			a.diag("warning: tensor %s has %s and makes a shard larger than asked for", t.Name, formatBytes(n))
		}
	}
	if dry {
		return a.emit(doc, doc.print)
	}
	return a.write(cmd, []string{from}, []outputFile{{name: name, src: src.Source}}, nil, output, func(files [][]writtenFile) error {
		for i, f := range files[0] {
			doc.Files[i].SHA256 = f.SHA256
		}
		return a.emit(doc, doc.print)
	})
}

func (d *splitDoc) print(w io.Writer) error {
	var b strings.Builder
	for _, f := range d.Files {
		if f.SHA256 != "" {
			b.WriteString(f.SHA256 + "  ")
		}
		fmt.Fprintf(&b, "%s  %d tensors  %s\n", f.Path, f.Tensors, formatBytes(f.Bytes))
	}
	fmt.Fprintf(&b, "%d shards, %d tensors, %s\n", len(d.Files), d.Tensors, formatBytes(d.Bytes))
	_, err := io.WriteString(w, b.String())
	return err
}
