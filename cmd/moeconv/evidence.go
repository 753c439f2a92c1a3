package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/moeconv/moeconv/recipes"
	"github.com/moeconv/moeconv/verify/evidence"
)

type evidenceDoc struct {
	envelope
	Bundle string `json:"bundle"` // below DIR
	Files  int    `json:"files"`
	Fresh  bool   `json:"written"` // false: the bundle was up to date
}

func evidenceCmd(a *app) *cobra.Command {
	var source string
	cmd := &cobra.Command{
		Use:   "evidence DIR",
		Short: "Gather a release's evidence: environment, hashes, reports, traces, claims, manifest",
		Long: `evidence gathers what a release was measured with into DIR/NAME.evidence. DIR is what
hf2gguf left, which has done so already; after bench has added its results (*.bench.json,
*.trace.jsonl beside the files) this brings the bundle up to date. --model DIR hashes the
checkpoint's weights where no earlier bundle has their SHA-256.`,
		Args: exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			l, err := a.openRelease(args[0])
			if err != nil {
				return err
			}
			if source != "" {
				l.Source = os.DirFS(source)
			}
			n, err := l.Gather(cmd.Context())
			if err != nil {
				return err
			}
			doc := evidenceDoc{a.envelope(), recipes.BundleName(l.Report.Name), n, n > 0}
			return a.emit(doc, func(w io.Writer) error {
				if n == 0 {
					_, err := fmt.Fprintln(w, doc.Bundle, "is up to date")
					return err
				}
				_, err := fmt.Fprintf(w, "%s: %d files\n", filepath.Join(args[0], doc.Bundle), n)
				return err
			})
		},
	}
	cmd.Flags().StringVar(&source, "model", "", "the checkpoint's `DIR`, to hash its weights")
	return cmd
}

// openRelease opens what hf2gguf left in a folder.
func (a *app) openRelease(dir string) (*recipes.Release, error) {
	l, err := recipes.OpenRelease(dir)
	if err != nil {
		return nil, err
	}
	l.Tool, l.Track = tool(), a.track
	return l, nil
}

// tool is the program as evidence names it.
func tool() evidence.Tool {
	v := version()
	return evidence.Tool{Version: v.Version, Commit: v.Commit, Reference: v.Reference}
}
