package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/moeconv/moeconv/gguf"
)

func mergeCmd(a *app) *cobra.Command {
	var (
		name        string
		force, asIs bool
	)
	cmd := &cobra.Command{
		Use:   "merge SHARD -o FILE",
		Short: "Write a set of shards as one file",
		Long: `merge writes the file that was split: the set's tensors and metadata without the
split.* keys. SHARD is any shard of the set, the others lie beside it. With
--as-reference it writes llama-gguf-split's bytes, which keep those keys
(split.count = 0). The shards stay; remove them once the file is checked.`,
		Args: exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if name == "" {
				return usageError{errors.New("merge needs -o FILE")}
			}
			h, err := openHeader(args[0])
			if err != nil {
				return err
			}
			count, _ := h.Metadata().Int("split.count")
			h.Close()
			if count < 1 {
				return withHint(fmt.Errorf("%s is not one of a set of shards: there is nothing to merge", args[0]), "shards are named ...-00001-of-00003.gguf")
			}
			src, err := a.open(args[0], sourceFlags{outType: "auto"})
			if err != nil {
				return err
			}
			defer src.Close()
			return a.merge(cmd, args, src, name, force, asIs)
		},
	}
	cmd.Flags().StringVarP(&name, "output", "o", "", "the `FILE` to write")
	cmd.Flags().BoolVar(&force, "force", false, "replace an existing output")
	cmd.Flags().BoolVar(&asIs, "as-reference", false, "keep the split.* keys that llama-gguf-split keeps")
	return cmd
}

func (a *app) merge(cmd *cobra.Command, args []string, src *model, name string, force, asReference bool) error {
	for _, s := range src.file.Shards() {
		if sameFile(s.Path, name) {
			return usageError{fmt.Errorf("%s is both input and output", name)}
		}
	}
	out := src.Source
	if asReference {
		out = gguf.WithMetadata(out, gguf.AsMerged(out.Metadata(), len(out.Tensors())))
	}
	doc := writtenDoc{envelope: a.envelope(), Tensors: len(out.Tensors())}
	flags := outputFlags{force: force, memory: defaultMemory}
	return a.write(cmd, args, []outputFile{{name: name, src: out}}, nil, flags, func(files [][]writtenFile) error {
		doc.Files, doc.Bytes = files[0], files[0][0].Bytes
		return a.emit(doc, doc.print)
	})
}
