package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"

	"github.com/moeconv/moeconv/gguf/names"
	"github.com/moeconv/moeconv/quantize/imatrix"
)

type gatheredDoc struct {
	envelope
	Path      string             `json:"path"`
	Tensors   int                `json:"tensors"`
	Ran       int                `json:"chunks_run"`
	Chunks    int64              `json:"chunks"` // as llama-imatrix counts them: by the dense tensors' uses
	ChunkSize int                `json:"chunk_size"`
	Datasets  []string           `json:"datasets"`
	PPL       *float64           `json:"ppl,omitempty"`
	PPLError  *float64           `json:"ppl_error,omitempty"`
	Seen      float64            `json:"coverage"` // share of experts
	Coverage  []imatrix.Coverage `json:"experts"`
}

// report prints what was gathered, and fails if it reaches too few experts.
func (g *gathering) report() error {
	cs := g.Sums.Coverage()
	doc := gatheredDoc{envelope: g.envelope(), Path: g.flags.output, Tensors: g.Sums.Len(), Ran: g.Done(), Chunks: g.Sums.Chunks(), ChunkSize: g.Sums.ChunkSize,
		Datasets: g.Sums.Datasets, Seen: imatrix.Seen(cs), Coverage: cs}
	if g.Score.Scored > 0 {
		ppl, dev := g.Score.Perplexity()
		doc.PPL, doc.PPLError = &ppl, &dev
	}
	if err := g.emit(doc, doc.print); err != nil {
		return err
	}
	if doc.Seen < g.flags.minCoverage {
		return withHint(checkError{fmt.Sprintf("the text reaches %.2f%% of the experts, less than %.2f%%", 100*doc.Seen, 100*g.flags.minCoverage)},
			"more text, or text of more kinds, reaches more; --in-file adds to what is there")
	}
	return nil
}

func (d *gatheredDoc) print(w io.Writer) error {
	chunks := int64(d.Ran)
	if d.Ran == 0 {
		chunks = d.Chunks
	}
	fmt.Fprintf(w, "%s: %d tensors, %d chunks of %d tokens\n", d.Path, d.Tensors, chunks, d.ChunkSize)
	if d.PPL != nil {
		fmt.Fprintf(w, "perplexity %.4f +/- %.4f\n", *d.PPL, *d.PPLError)
	}
	if len(d.Coverage) == 0 {
		_, err := fmt.Fprintln(w, "no experts")
		return err
	}
	fmt.Fprintf(w, "coverage %.2f%% of the experts\n", 100*d.Seen)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "block\texperts\tnever routed\trarely\tleast uses\tmean\tmost")
	for _, c := range d.Coverage {
		n := names.Parse(c.Tensor)
		if n.Role != names.FFNDownExps { // a block's experts are used alike
			continue
		}
		total := int64(0)
		for _, u := range c.Uses {
			total += u
		}
		fmt.Fprintf(t, "%d\t%d\t%s\t%s\t%d\t%d\t%d\n", n.Block, len(c.Uses), few(c.Never), few(c.Rarely), slices.Min(c.Uses), total/int64(len(c.Uses)), slices.Max(c.Uses))
	}
	return t.Flush()
}

// few is numbers for people: their count and the first of them.
func few(ns []int) string {
	const most = 8
	switch {
	case len(ns) == 0:
		return "0"
	case len(ns) > most:
		return fmt.Sprintf("%d %v...", len(ns), ns[:most])
	}
	return fmt.Sprintf("%d %v", len(ns), ns)
}

type statisticsDoc struct {
	envelope
	Tensors []imatrix.Statistics `json:"statistics"`
}

func (d *statisticsDoc) print(w io.Writer) error {
	ts := slices.Clone(d.Tensors)
	role := func(s imatrix.Statistics) string { return string(names.Parse(s.Tensor).Role) }
	slices.SortStableFunc(ts, func(a, b imatrix.Statistics) int {
		return cmp.Or(cmp.Compare(role(a), role(b)), cmp.Compare(b.Sum, a.Sum))
	})
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "layer\ttensor\tsum(act²)\tmin\tmax\tmean\tstddev\tactive\tN\tentropy\tE (norm)\tZD\tCosSim\t")
	for _, s := range ts {
		block := "-"
		if s.Block >= 0 {
			block = fmt.Sprint(s.Block)
		}
		fmt.Fprintf(t, "%s\t%s\t%.2f\t%.4f\t%.4f\t%.2f\t%.2f\t%.2f%%\t%d\t%.4f\t%.2f%%\t%.2f%%\t%.4f\t\n", block, role(s), s.Sum, s.Min, s.Max, s.Mean, s.Dev,
			100*s.Active, s.Elements, s.Entropy, 100*s.Evenness, 100*s.ZD, s.CosSim)
	}
	return t.Flush()
}
