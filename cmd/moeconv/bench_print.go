package main

import (
	"fmt"
	"io"

	"github.com/jedib0t/go-pretty/v6/table"

	"github.com/moeconv/moeconv/verify/bench"
)

// printReport is the figures for people.
func printReport(w io.Writer, d *bench.Report) error {
	for _, m := range d.Models {
		t := table.NewWriter()
		t.SetStyle(table.StyleLight)
		t.AppendHeader(table.Row{"prompt", "mode", "tokens", "first token, s", "prefill, tok/s", "decode, tok/s", "gap p50, ms", "gap p95, ms", "total, s"})
		for _, c := range m.Cells {
			t.AppendRow(table.Row{c.Prompt, c.Mode, statText(c.Tokens, 1), statText(c.TTFT, 1), statText(c.Prefill, 1), statText(c.Decode, 1), statText(c.P50, 1e3), statText(c.P95, 1e3), statText(c.Total, 1)})
		}
		if _, err := fmt.Fprintf(w, "%s at %s: mean +/- half of the 95%% interval of %d runs\n%s\n", m.Name, m.Endpoint, d.Options.Runs, t.Render()); err != nil {
			return err
		}
		if _, err := fmt.Fprintf(w, "streamed and whole answers agree in %d of %d pairs; %.0f%% of the answers score 3 of 5 or more\n", m.Same.Equal, m.Same.Pairs, 100*m.Success); err != nil {
			return err
		}
		if p := m.Protocol; p != nil {
			if _, err := fmt.Fprintf(w, "streaming protocol: success %v (9 of 10 answers score 3 or more), speed %s (the slowest answer %s tok/s; good from 2 on, acceptable from 1 on), steady %s (last quarter of the tokens %s times the first's speed; 0.8 or more)\n",
				p.Success, p.Speed, pointerText(p.Slowest), steadyText(p.Steady), pointerText(p.Drift)); err != nil {
				return err
			}
		}
		if m.Load != nil && m.Cores != nil {
			if _, err := fmt.Fprintf(w, "loaded in %.2f s; %.2f cores busy while it answered\n", *m.Load, *m.Cores); err != nil {
				return err
			}
		}
		if m.Offload != nil {
			if err := printStreamed(w, *m.Offload); err != nil {
				return err
			}
		}
		for _, f := range m.Memory {
			if _, err := fmt.Fprintf(w, "%-14s %10.2f MiB  %s; %s\n", f.Name, float64(f.Bytes)/(1<<20), f.Method, f.Scope); err != nil {
				return err
			}
		}
	}
	for i := range d.Compared {
		if err := printComparison(w, &d.Compared[i]); err != nil {
			return err
		}
	}
	return nil
}

// printComparison says how far two models answer alike, and by how much their speeds differ.
func printComparison(w io.Writer, c *bench.Comparison) error {
	how := "one after the other"
	if c.Turns {
		how = "in turn"
	}
	if _, err := fmt.Fprintf(w, "%s and %s, asked %s: %d of %d answers are equal, the same share of tokens at the beginning %s\n", c.Base, c.Model, how, c.Texts.Equal, c.Texts.Pairs, statText(c.Tokens, 1)); err != nil {
		return err
	}
	if d := c.Device; d != nil {
		if _, err := fmt.Fprintf(w, "  device: %.2f MiB and %.2f, %.2f%% less (%s)\n", float64(d.Base)/(1<<20), float64(d.Bytes)/(1<<20), d.Percent, d.Method); err != nil {
			return err
		}
	}
	for _, g := range c.Greedy {
		what := "the same tokens"
		if !g.Equal {
			what = "not the same tokens"
		}
		if g.Common != nil {
			what += fmt.Sprintf(", the first %d of %d and %d", *g.Common, *g.BaseTokens, *g.Tokens)
		}
		if _, err := fmt.Fprintf(w, "  greedy, %s: %s\n", g.Prompt, what); err != nil {
			return err
		}
	}
	if len(c.Differences) == 0 {
		return nil
	}
	t := table.NewWriter()
	t.SetStyle(table.StyleLight)
	t.AppendHeader(table.Row{"prompt", "mode", "figure", c.Base, "difference", "ratio", "pairs", ""})
	for _, x := range c.Differences {
		verdict := "within the interval of 0"
		if x.Pairs.Mean > x.Pairs.CI95 || -x.Pairs.Mean > x.Pairs.CI95 {
			verdict = fmt.Sprintf("%+.1f%%", 100*x.Pairs.Mean/x.Base)
		}
		t.AppendRow(table.Row{x.Prompt, x.Mode, x.Figure, fmt.Sprintf("%.4g", x.Base), statText(x.Pairs, 1), statText(x.Ratio, 1), x.Pairs.N, verdict})
	}
	_, err := fmt.Fprintf(w, "%s less %s, in pairs of requests made one after the other: mean +/- half of the 95%% interval\n%s\n", c.Model, c.Base, t.Render())
	return err
}

// pointerText is a value that may not have been observed.
func pointerText(v *float64) string {
	if v == nil {
		return "-"
	}
	return fmt.Sprintf("%.4g", *v)
}

func steadyText(v *bool) string {
	if v == nil {
		return "unknown"
	}
	return fmt.Sprint(*v)
}

// statText is a figure in a table; one that was not observed is a dash.
func statText(s *bench.Stat, scale float64) string {
	if s == nil {
		return "-"
	}
	return fmt.Sprintf("%.4g +/- %.2g", scale*s.Mean, scale*s.CI95)
}
