package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/moeconv/moeconv/verify/bench"
)

// placing are the flags that place tensors, which a ladder does itself.
var placing = []string{"cpu-moe", "n-cpu-moe", "override-tensor", "offload-shared"}

// ladderOwn are the flags that a ladder's processes are given otherwise than as the user gave them, or not at all.
var ladderOwn = []string{"ladder", "raw", "json", "progress", "log-file", "pp", "tg", "repeat", "threads", "order-seed"}

// benchLadder measures placements, each in a process of its own.
func (a *app) benchLadder(cmd *cobra.Command, name string, src sourceFlags, run runFlags, raw rawFlags, order uint64) error {
	if raw.repeats < bench.LeastRuns {
		return usageError{fmt.Errorf("--repeat %d: want %d or more, for an interval", raw.repeats, bench.LeastRuns)}
	}
	for _, f := range placing {
		if cmd.Flags().Changed(f) {
			return usageError{fmt.Errorf("--%s cannot be used with --ladder, which places tensors itself", f)}
		}
	}
	if _, err := run.options(cmd); err != nil { // before any process is started
		return err
	}
	header, err := a.open(name, src)
	if err != nil {
		return err
	}
	defer header.Close()
	self, err := os.Executable()
	if err != nil {
		return err
	}
	o := bench.LadderOptions{Command: []string{self}, Source: name, Name: modelName(name), Steps: raw.ladder, PP: raw.pp, TG: raw.tg,
		Runs: raw.repeats, Order: order, Threads: run.threads}
	cmd.Flags().Visit(func(f *pflag.Flag) {
		if !slices.Contains(ladderOwn, f.Name) {
			o.Args = append(o.Args, "--"+f.Name+"="+f.Value.String())
		}
	})
	progress, done := a.track("measuring placements", false)
	defer done()
	o.Progress = func(n, all int) { progress(int64(n), int64(all)) }
	doc := benchDoc{envelope: a.envelope()}
	if doc.Ladder, err = bench.MeasureLadder(cmd.Context(), header, o); err != nil {
		var steps *bench.StepsError
		if errors.As(err, &steps) {
			return usageError{err}
		}
		return err
	}
	if header.file != nil {
		if doc.SHA256, err = hashOf(header.file.Shards()[0].Path); err != nil {
			return err
		}
	}
	return a.emit(doc, func(w io.Writer) error { return printLadder(w, doc.Ladder) })
}

func printLadder(w io.Writer, l *bench.Ladder) error {
	t := table.NewWriter()
	t.SetStyle(table.StyleLight)
	t.Style().Format.Header = text.FormatDefault // flags keep their case
	t.AppendHeader(table.Row{"--n-cpu-moe", "device (est.), MiB", "host, MiB", "peak RSS, MiB", "PSS, MiB",
		fmt.Sprintf("pp%d, tok/s", l.PP), fmt.Sprintf("tg%d, tok/s", l.TG)})
	alignRight(t, 1, 7)
	for i := range l.Steps {
		s := &l.Steps[i]
		t.AppendRow(table.Row{s.NCPUMoE, figureText(s.Figure("device")), figureText(s.Figure("host_weights")), figureText(s.Peak()), figureText(s.Figure("pss")),
			speedText(s.Prefill), speedText(s.Decode)})
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s, %d threads, %d positions, KV cache %s: mean +/- half of the 95%% interval of %d runs; MiB of 2^20 bytes\n%s\ndevice: %s\n",
		l.Model, l.Threads, l.Context, l.KV, l.Runs, t.Render(), l.Device)
	for _, name := range []string{"device", "host_weights", "rss_peak", "max_rss", "pss"} {
		if f := l.Steps[0].Figure(name); f != nil {
			fmt.Fprintf(&b, "%-12s %s; %s\n", f.Name, f.Method, f.Scope)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// figureText is an amount of memory in a table; one that nothing tells is a dash.
func figureText(f *bench.Figure) string {
	if f == nil {
		return "-"
	}
	return fmt.Sprintf("%.2f", float64(f.Bytes)/(1<<20))
}

func speedText(s *bench.Speed) string {
	if s.CI95 == nil {
		return fmt.Sprintf("%.2f", s.Mean)
	}
	return fmt.Sprintf("%.2f +/- %.2f", s.Mean, *s.CI95)
}
