package main

import (
	"fmt"
	"io"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/moeconv/moeconv/recipes"
	"github.com/moeconv/moeconv/verify/card"
)

type cardFileDoc struct {
	envelope
	File  string `json:"file"` // below DIR
	Fresh bool   `json:"written"`
}

func cardCmd(a *app) *cobra.Command {
	var (
		template string
		show     bool
	)
	cmd := &cobra.Command{
		Use:   "card DIR",
		Short: "Write a release's model card from its evidence",
		Long: `card writes DIR/NAME.card.md, the README.md of the published repository, from the bundle
in DIR/NAME.evidence and from nothing else. A template (--template, or card.template of the
recipe) is a Go text/template; a number that it states by itself, or a value that the bundle
lacks, is an error. --print-template prints the default one.`,
		Args: func(cmd *cobra.Command, args []string) error {
			if show {
				return nil
			}
			return exactArgs(1)(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if show {
				_, err := io.WriteString(a.stdout, card.DefaultTemplate())
				return err
			}
			l, err := a.openRelease(args[0])
			if err != nil {
				return err
			}
			if template != "" {
				if l.Recipe.Card.Template, err = filepath.Abs(template); err != nil {
					return err
				}
			}
			fresh, err := l.WriteCard()
			if err != nil {
				return err
			}
			doc := cardFileDoc{a.envelope(), recipes.CardFile(l.Report.Name), fresh}
			return a.emit(doc, func(w io.Writer) error {
				state := "written"
				if !fresh {
					state = "up to date"
				}
				_, err := fmt.Fprintf(w, "%s: %s\n", filepath.Join(args[0], doc.File), state)
				return err
			})
		},
	}
	cmd.Flags().StringVar(&template, "template", "", "text/template `FILE` instead of the recipe's")
	cmd.Flags().BoolVar(&show, "print-template", false, "print the default template")
	return cmd
}
