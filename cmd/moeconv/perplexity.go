package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/recipes"
	"github.com/moeconv/moeconv/runtime"
	"github.com/moeconv/moeconv/verify"
)

type perplexityDoc struct {
	envelope
	PPL     float64  `json:"ppl"`
	Error   float64  `json:"ppl_error"`
	Tokens  int      `json:"tokens"`
	Chunks  int      `json:"chunks"`
	Scored  int      `json:"scored_tokens"`
	KLD     *kldDoc  `json:"kld,omitempty"`
	SameTop *float64 `json:"same_top_p,omitempty"`
}

type kldDoc struct {
	Mean   float64 `json:"mean"`
	Median float64 `json:"median"`
	P99    float64 `json:"p99"`
	P999   float64 `json:"p999"`
	Max    float64 `json:"max"`
}

func perplexityCmd(a *app) *cobra.Command {
	var (
		src    sourceFlags
		run    runFlags
		file   string
		base   string
		chunks int
	)
	cmd := &cobra.Command{
		Use:   "perplexity SRC -f TEXT",
		Short: "Perplexity as llama-perplexity defines it, with --base KL divergence too",
		Long: `perplexity scores a text in chunks of --ctx tokens, the second half of each. With
--base SRC2 it also compares the probabilities of both models (KL divergence, share of
positions with the same most likely token).`,
		Args: exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if file == "" {
				return usageError{fmt.Errorf("perplexity needs -f TEXT")}
			}
			text, err := recipes.ReadText(file)
			if err != nil {
				return err
			}
			if run.context == 0 {
				run.context = 512
			}
			m, done, err := a.load(args[0], src, run, cmd)
			if err != nil {
				return err
			}
			defer done()
			progress, end := a.track("perplexity", false)
			defer end()
			opts := verify.PerplexityOptions{Context: run.context, Chunks: chunks, Progress: progress}
			doc := perplexityDoc{envelope: a.envelope()}
			if err := doc.measure(cmd, a, m, text, base, src, opts, run); err != nil {
				return err
			}
			end()
			return a.emit(doc, doc.print)
		},
	}
	src.register(cmd.Flags(), "auto")
	run.register(cmd.Flags(), "rounded", "f32")
	run.layers.register(cmd.Flags())
	cmd.Flags().StringVarP(&file, "file", "f", "", "the text `FILE`")
	cmd.Flags().StringVar(&base, "base", "", "compare with this `SRC`")
	cmd.Flags().IntVar(&chunks, "chunks", 0, "score the first `N` chunks only")
	return cmd
}

// measure fills in doc: perplexity alone, or with a base both models over the same chunks.
func (d *perplexityDoc) measure(cmd *cobra.Command, a *app, m *runtime.Model, text, base string, src sourceFlags, opts verify.PerplexityOptions, run runFlags) error {
	if base == "" {
		p, err := verify.Perplexity(cmd.Context(), m, text, opts)
		if err != nil {
			return err
		}
		d.PPL, d.Error, d.Tokens, d.Chunks, d.Scored = p.PPL, p.Error, p.Tokens, p.Chunks, p.Scored
		return nil
	}
	run.activations, run.kv = "f32", gguf.F32.String()
	b, done, err := a.load(base, src, run, cmd)
	if err != nil {
		return err
	}
	defer done()
	k, err := verify.Divergence(cmd.Context(), m, b, text, opts)
	if err != nil {
		return err
	}
	p := k.PPL
	d.PPL, d.Error, d.Tokens, d.Chunks, d.Scored = p.PPL, p.Error, p.Tokens, p.Chunks, p.Scored
	d.KLD = &kldDoc{k.Mean, k.Median, k.P99, k.P999, k.Max}
	d.SameTop = &k.SameTop
	return nil
}

func (d *perplexityDoc) print(w io.Writer) error {
	_, err := fmt.Fprintf(w, "perplexity %.4f +/- %.4f  (%d chunks, %d of %d tokens scored)\n", d.PPL, d.Error, d.Chunks, d.Scored, d.Tokens)
	if err == nil && d.KLD != nil {
		_, err = fmt.Fprintf(w, "KL divergence mean %.6f, median %.6f, 99%% %.6f, 99.9%% %.6f, max %.6f; same top token %.3f%%\n",
			d.KLD.Mean, d.KLD.Median, d.KLD.P99, d.KLD.P999, d.KLD.Max, *d.SameTop*100)
	}
	return err
}
