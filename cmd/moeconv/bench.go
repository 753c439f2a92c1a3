package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/moeconv/moeconv/recipes"
	"github.com/moeconv/moeconv/verify/bench"
)

// rawFlags are those of bench --raw.
type rawFlags struct {
	on              bool
	pp, tg, repeats int
	ladder          []int
}

func (r *rawFlags) register(f *pflag.FlagSet) {
	f.BoolVar(&r.on, "raw", false, "measure evaluation alone: no text, no sampling")
	f.IntVar(&r.pp, "pp", 512, "with --raw: `TOKENS` evaluated at once")
	f.IntVar(&r.tg, "tg", 128, "with --raw: `TOKENS` evaluated one by one")
	f.IntSliceVar(&r.ladder, "ladder", nil, "with --raw: measure each of these `NUMBERS` as --n-cpu-moe, in a process of its own: 0,4,8")
	f.IntVarP(&r.repeats, "repeat", "r", 5, "`RUNS` that count")
}

func benchCmd(a *app) *cobra.Command {
	var (
		src       sourceFlags
		run       runFlags
		raw       rawFlags
		scenarios scenarioFlags
	)
	cmd := &cobra.Command{
		Use:   "bench SRC..",
		Short: "Measure how fast models answer",
		Long: `bench asks each model the prompts of a --suite --repeat times in random order, after one
request to warm up, through a server in this process or the one at --endpoint. It
reports the time to the first token, prefill and decode speed, gaps between tokens and
the total, with mean, standard deviation and 95% interval, every run with its seed and
text, and memory with method and scope. Tokens are counted by their ids or as the server
says; times are read from the monotonic clock as events come. What a server does not
show is null. Data that cannot be is an error. --trace keeps the time of every token. With --together, or several --place, models
or placements are asked in turn and compared: answers, and differences of pairs.

bench --raw evaluates --pp tokens at once and --tg tokens one by one, in an empty
context, as llama-bench does: one run to warm up, then --repeat runs that count. It also
measures how fast all threads read memory, and prints which share of that decoding reached.
Of a model whose experts are streamed, it prints that of what the disk gives.

bench --raw --ladder 0,4,8 measures these placements, each in a process of its own and in
random order, and prints speed and peak of memory of each beside what the header says a
device would hold. This runtime has no device: what one would hold is never measured.`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case !raw.on && len(raw.ladder) > 0:
				return usageError{errors.New("--ladder goes with --raw")}
			case !raw.on:
				scenarios.opts.Runs = raw.repeats
				return a.benchScenarios(cmd, args, src, run, scenarios)
			}
			if err := exactArgs(1)(cmd, args); err != nil {
				return err
			}
			if raw.pp < 1 || raw.tg < 1 || raw.repeats < 1 {
				return usageError{fmt.Errorf("--pp, --tg and --repeat want 1 or more")}
			}
			if len(raw.ladder) > 0 {
				return a.benchLadder(cmd, args[0], src, run, raw, scenarios.opts.Order)
			}
			return a.benchRaw(cmd, args[0], src, run, raw)
		},
	}
	src.register(cmd.Flags(), "auto")
	run.register(cmd.Flags(), "integers", "f16")
	scenarios.register(cmd.Flags())
	raw.register(cmd.Flags())
	return cmd
}

type rawDoc struct {
	envelope
	*bench.Raw
}

func (a *app) benchRaw(cmd *cobra.Command, name string, src sourceFlags, run runFlags, raw rawFlags) error {
	run.context = max(run.context, raw.pp, raw.tg)
	h, err := a.hosted(cmd, name, src, run)
	if err != nil {
		return err
	}
	start := time.Now()
	m, done, err := a.load(name, src, run, cmd)
	if err != nil {
		return err
	}
	defer done()
	h.Load = time.Since(start)
	doc := rawDoc{envelope: a.envelope()}
	if doc.Raw, err = bench.MeasureRaw(cmd.Context(), m, bench.RawOptions{PP: raw.pp, TG: raw.tg, Runs: raw.repeats, Threads: run.threads, Hosted: h}); err != nil {
		return err
	}
	return a.emit(doc, doc.print)
}

// hosted is SRC as bench accounts for its memory, from its header.
func (a *app) hosted(cmd *cobra.Command, name string, src sourceFlags, run runFlags) (bench.Hosted, error) {
	opts, err := run.options(cmd)
	if err != nil {
		return bench.Hosted{}, err
	}
	header, err := a.open(name, src)
	if err != nil {
		return bench.Hosted{}, err
	}
	defer header.Close()
	return recipes.Hosted(modelName(name), header, opts.KV, opts.Placement), nil
}

// MarshalJSON puts the envelope before what was measured.
func (d rawDoc) MarshalJSON() ([]byte, error) {
	head, err := json.Marshal(d.envelope)
	if err != nil {
		return nil, err
	}
	body, err := json.Marshal(d.Raw)
	if err != nil {
		return nil, err
	}
	return slices.Concat(head[:len(head)-1], []byte(","), body[1:]), nil
}

func (d rawDoc) print(w io.Writer) error {
	for _, name := range slices.Sorted(maps.Keys(d.Results)) {
		t := d.Results[name]
		if _, err := fmt.Fprintf(w, "%-8s %10.2f +/- %.2f tok/s (%d runs, %d threads)\n", name, t.Mean, t.Stddev, t.N, d.Threads); err != nil {
			return err
		}
	}
	if d.Offload != nil {
		return printOffload(w, d.Offload)
	}
	_, err := fmt.Fprintf(w, "%.2f MB per token: %.1f%% of a read bandwidth of %.1f GB/s\n", float64(d.TokenBytes)/1e6, 100*d.Share, d.ReadBandwidth/1e9)
	return err
}
