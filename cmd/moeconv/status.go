package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/moeconv/moeconv/recipes"
)

type statusDoc struct {
	envelope
	Name  string         `json:"name"`
	Done  bool           `json:"done"`
	Parts []recipes.Part `json:"parts"`
}

func statusCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "status DIR",
		Short: "Show what of a release is done, stale or missing",
		Long: `status looks at a folder that hf2gguf works in: each file, its verdict, the evidence and the
card; where jobs (hf2gguf --job) share it, which of their files are done. It changes nothing.
What is stale or missing the same hf2gguf command makes.`,
		Args: exactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			name, parts, err := recipes.Look(args[0])
			if err != nil {
				return err
			}
			doc := statusDoc{envelope: a.envelope(), Name: name, Done: true, Parts: parts}
			for _, p := range doc.Parts {
				doc.Done = doc.Done && p.State == recipes.Done
			}
			return a.emit(doc, func(w io.Writer) error {
				for _, p := range doc.Parts {
					if _, err := fmt.Fprintf(w, "%-8s %-8s %s  %s\n", p.State, p.Stage, p.Name, p.Why); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
}
