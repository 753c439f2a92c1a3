package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"

	"github.com/moeconv/moeconv/verify"
)

// printVerdict is the verdict for a terminal: one line, the command that publishes, a row a file, and what a person should see.
func printVerdict(w io.Writer, rel *verify.Release, reports []string) error {
	var b strings.Builder
	if len(rel.Files) > 1 {
		b.WriteString(rel.Verdict + "\n")
		if rel.Publish != "" {
			fmt.Fprintf(&b, "publish: %s\n", rel.Publish)
		}
		b.WriteString(verdictTable(rel) + "\n")
		for _, f := range rel.Worst() {
			if lines := f.Remarks(); len(lines) > 1 {
				b.WriteString(strings.Join(lines, "\n") + "\n")
			}
		}
	} else {
		b.WriteString(strings.Join(rel.Files[0].Lines(), "\n") + "\n")
	}
	for _, a := range rel.Aside {
		fmt.Fprintf(&b, "aside: %s, %s\n", a.Name, a.Why)
	}
	for _, r := range reports {
		fmt.Fprintf(&b, "report: %s\n", r)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func verdictTable(rel *verify.Release) string {
	t := table.NewWriter()
	t.SetStyle(table.StyleLight)
	t.AppendHeader(table.Row{"file", "GB", "shards", "bits/weight", "of experts", "mean KLD", "same top", "PPL ratio", "p(end) ratio", "verdict", "dominated by"})
	for _, f := range rel.Worst() {
		row := table.Row{f.Label, fmt.Sprintf("%.4g", float64(f.Bytes)/1e9), len(f.Files), f.BPW.Format("%.3f"), f.ExpertBPW.Format("%.3f"), "", "", "", "", f.Status, ""}
		if q := f.Quality; q != nil {
			row[5] = q.MeanKLD.Format("%.6f")
			if q.KLDError.Valid() {
				row[5] = fmt.Sprintf("%.6f ± %.6f", float64(q.MeanKLD), float64(q.KLDError))
			}
			row[6], row[7], row[8] = (100 * q.SameTop).Format("%.2f%%"), q.PPLRatio.Format("%.5f"), q.EndRatio.Format("%.3f")
		}
		if len(f.DominatedBy) > 0 {
			row[10] = f.DominatedBy[0]
			if n := len(f.DominatedBy) - 1; n > 0 {
				row[10] = fmt.Sprintf("%s and %d more", row[10], n)
			}
		}
		t.AppendRow(row)
	}
	return t.Render()
}
