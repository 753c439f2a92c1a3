package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/moeconv/moeconv/gguf"
)

type diffDoc struct {
	envelope
	gguf.Difference
}

func diffCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "diff A B",
		Short: "Compare two files' metadata and tensors; exit status 3 when they differ",
		Args:  exactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			var models [2]*model
			for i, name := range args {
				m, err := a.open(name, sourceFlags{outType: "auto"})
				if err != nil {
					return err
				}
				defer m.Close()
				models[i] = m
			}
			d, err := gguf.Diff(cmd.Context(), models[0].Source, models[1].Source)
			if err != nil {
				return err
			}
			doc := diffDoc{a.envelope(), *d}
			if err := a.emit(doc, func(w io.Writer) error { return d.Print(w) }); err != nil {
				return err
			}
			if !d.Same() {
				return checkError{fmt.Sprintf("%s and %s differ", args[0], args[1])}
			}
			return nil
		},
	}
}
