package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/moeconv/moeconv/gguf/expert"
)

type tagDoc struct {
	envelope
	Files   []writtenFile  `json:"files"`
	Experts expert.Summary `json:"experts"`
}

func tagCmd(a *app) *cobra.Command {
	var (
		output outputFlags
		name   string
	)
	cmd := &cobra.Command{
		Use:   "tag FILE -o OUT",
		Short: "Mark expert tensors in the metadata without touching a tensor byte",
		Long: `tag adds the keys moeconv.expert.* to a GGUF file: names, layers, count and bytes
of the routed experts, shared experts apart. It works on any GGUF file and
refuses one that has no routed experts.`,
		Args: exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if name == "" {
				return usageError{fmt.Errorf("tag needs -o OUT")}
			}
			src, err := a.open(args[0], sourceFlags{outType: "auto"})
			if err != nil {
				return err
			}
			defer src.Close()
			tagged, sum, err := expert.Tag(src.Source)
			if err != nil {
				return err
			}
			doc := tagDoc{envelope: a.envelope(), Experts: sum}
			if doc.Files, err = a.write(cmd, name, tagged, output); err != nil {
				return err
			}
			return a.emit(doc, func(w io.Writer) error {
				for _, f := range doc.Files {
					if _, err := fmt.Fprintf(w, "%s  %s  %s\n", f.SHA256, f.Path, formatBytes(f.Bytes)); err != nil {
						return err
					}
				}
				_, err := fmt.Fprintf(w, "%d routed expert tensors in %d layers, %d experts, %d used, %s\n",
					len(sum.Names), len(sum.Layers), sum.Count, sum.Used, formatBytes(sum.Bytes))
				return err
			})
		},
	}
	output.register(cmd.Flags())
	cmd.Flags().StringVarP(&name, "output", "o", "", "the file to write")
	return cmd
}
