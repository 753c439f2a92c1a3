package main

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/quantize"
	"github.com/moeconv/moeconv/recipes"
	"github.com/moeconv/moeconv/verify"
)

type verifyDoc struct {
	envelope
	*verify.Report
}

func verifyCmd(a *app) *cobra.Command {
	var (
		source, text, scheme, pre string
		chunks, threads           int
	)
	cmd := &cobra.Command{
		Use:   "verify FILE --source DIR",
		Short: "Prove a file: contract, scan, fidelity, logits, KL divergence, perplexity",
		Long: `verify loads a GGUF file and holds it against its checkpoint (--source) over a text
(--text). Without a source the checks that need one are not applicable and the verdict
is at best a warning. Exit status 3 when a check fails.`,
		Args: exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			file, err := gguf.Open(args[0])
			if err != nil {
				return err
			}
			defer file.Close()
			a.meet(file.Metadata())
			s := &verify.Subject{Name: filepath.Base(args[0]), Scheme: scheme, Source: file, Chunks: chunks}
			s.Runtime.Threads = threads
			if scheme == "" {
				s.Scheme = schemeOf(file.Metadata())
			}
			if text != "" {
				if s.Text, err = recipes.ReadText(text); err != nil {
					return err
				}
			}
			if source != "" {
				m, err := a.open(source, sourceFlags{outType: "auto", pre: pre})
				if err != nil {
					return err
				}
				defer m.Close()
				s.Reference = m.Source
			}
			progress, done := a.track("verify", false)
			defer done()
			s.Progress = func(_ string, n, total int64) { progress(n, total) }
			rep, err := verify.Run(cmd.Context(), s, verify.Standard())
			if err != nil {
				return err
			}
			done()
			return a.emitVerdict(rep)
		},
	}
	f := cmd.Flags()
	f.StringVar(&source, "source", "", "the checkpoint `DIR`, or another file of the same model")
	f.StringVarP(&text, "text", "f", "", "`FILE` to measure perplexity and KL divergence on")
	f.IntVar(&chunks, "chunks", 8, "measure on the first `N` chunks; 0: all")
	f.StringVar(&scheme, "type", "", "`SCHEME` whose bounds apply (default: the file's own)")
	f.StringVar(&pre, "pre", "", "`NAME` of the source's pre-tokenizer if it cannot be told")
	f.IntVar(&threads, "threads", 0, "number of threads (default: all cores)")
	return cmd
}

func (a *app) emitVerdict(rep *verify.Report) error {
	err := a.emit(verifyDoc{a.envelope(), rep}, func(w io.Writer) error {
		_, err := fmt.Fprintln(w, strings.Join(rep.Lines(), "\n"))
		return err
	})
	if err == nil && rep.Status == verify.Fail {
		return checkError{rep.Name + " failed its checks"}
	}
	return err
}

// schemeOf is the scheme that the file names as its own; empty where it names none that is known.
func schemeOf(md *gguf.Metadata) string {
	id, err := gguf.Value[uint32](md, "general.file_type")
	if err != nil {
		return ""
	}
	for _, s := range quantize.Schemes() {
		if s.FileType == id && !s.Copy {
			return s.Name
		}
	}
	return ""
}
