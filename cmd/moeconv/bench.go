package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	goruntime "runtime"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/moeconv/moeconv/runtime"
)

// benchDoc has pp{N} and tg{N} beside the envelope, as llama-bench names its tests.
type benchDoc struct {
	envelope
	Threads       int                   `json:"threads"`
	Results       map[string]*benchTest `json:"-"`
	TokenBytes    int64                 `json:"bytes_per_token"`
	ReadBandwidth float64               `json:"read_bandwidth"` // bytes/s
	Share         float64               `json:"bandwidth_share"`
	Offload       *offloadDoc           `json:"offload,omitempty"`
}

// benchTest is tokens per second over n runs.
type benchTest struct {
	Mean   float64 `json:"mean"`
	Stddev float64 `json:"stddev"`
	N      int     `json:"n"`
}

func benchCmd(a *app) *cobra.Command {
	var (
		src             sourceFlags
		run             runFlags
		raw             bool
		pp, tg, repeats int
		scenarios       scenarioFlags
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
show is null. Data that cannot be is an error. --trace keeps the time of every token.

bench --raw evaluates --pp tokens at once and --tg tokens one by one, in an empty
context, as llama-bench does: one run to warm up, then --repeat runs that count. It also
measures how fast all threads read memory, and prints which share of that decoding reached.
Of a model whose experts are streamed, it prints that of what the disk gives.`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if !raw {
				scenarios.opts.Runs = repeats
				return a.benchScenarios(cmd, args, src, run, scenarios)
			}
			if err := exactArgs(1)(cmd, args); err != nil {
				return err
			}
			if pp < 1 || tg < 1 || repeats < 1 {
				return usageError{fmt.Errorf("--pp, --tg and --repeat want 1 or more")}
			}
			run.context = max(run.context, pp, tg)
			m, done, err := a.load(args[0], src, run, cmd)
			if err != nil {
				return err
			}
			defer done()
			doc := benchDoc{envelope: a.envelope(), Threads: run.threads}
			if doc.Threads == 0 {
				doc.Threads = goruntime.GOMAXPROCS(0)
			}
			if err := doc.measure(cmd.Context(), m, pp, tg, repeats); err != nil {
				return err
			}
			return a.emit(doc, doc.print)
		},
	}
	src.register(cmd.Flags(), "auto")
	run.register(cmd.Flags(), "integers", "f16")
	scenarios.register(cmd.Flags())
	cmd.Flags().BoolVar(&raw, "raw", false, "measure evaluation alone: no text, no sampling")
	cmd.Flags().IntVar(&pp, "pp", 512, "with --raw: `TOKENS` evaluated at once")
	cmd.Flags().IntVar(&tg, "tg", 128, "with --raw: `TOKENS` evaluated one by one")
	cmd.Flags().IntVarP(&repeats, "repeat", "r", 5, "`RUNS` that count")
	return cmd
}

func (d *benchDoc) measure(ctx context.Context, m *runtime.Model, pp, tg, repeats int) error {
	ids := make([]int32, max(pp, tg))
	for i := range ids {
		ids[i] = int32(i * 7919 % m.VocabSize())
	}
	d.Results = map[string]*benchTest{}
	for _, c := range []struct {
		name    string
		n, step int
	}{{"pp", pp, pp}, {"tg", tg, 1}} {
		s := m.NewSession()
		d.Offload = newOffloadDoc(m)
		var speeds []float64
		for i := range repeats + 1 {
			s.Reset()
			start := time.Now()
			for at := 0; at < c.n; at += c.step {
				if _, err := s.Eval(ctx, ids[at:at+c.step], runtime.WantLast); err != nil {
					return err
				}
			}
			if i > 0 {
				speeds = append(speeds, float64(c.n)/time.Since(start).Seconds())
			}
			d.Offload.count(m, i > 0, time.Since(start))
		}
		d.Results[fmt.Sprintf("%s%d", c.name, c.n)] = newBenchTest(speeds)
	}
	d.TokenBytes = m.TokenBytes()
	if d.Offload != nil { // memory is what there is too little of
		return d.Offload.compare(ctx, m)
	}
	d.ReadBandwidth = runtime.ReadBandwidth(d.Threads)
	d.Share = d.Results[fmt.Sprintf("tg%d", tg)].Mean * float64(d.TokenBytes) / d.ReadBandwidth
	return nil
}

func newBenchTest(speeds []float64) *benchTest {
	t := &benchTest{N: len(speeds)}
	for _, v := range speeds {
		t.Mean += v / float64(t.N)
	}
	for _, v := range speeds {
		t.Stddev += (v - t.Mean) * (v - t.Mean)
	}
	t.Stddev = math.Sqrt(t.Stddev / float64(max(1, t.N-1)))
	return t
}

// MarshalJSON puts the tests beside the other keys.
func (d benchDoc) MarshalJSON() ([]byte, error) {
	type plain benchDoc
	data, err := json.Marshal(plain(d))
	if err != nil {
		return nil, err
	}
	all := map[string]any{}
	if err := json.Unmarshal(data, &all); err != nil {
		return nil, err
	}
	for name, t := range d.Results {
		all[name] = t
	}
	return json.Marshal(all)
}

func (d benchDoc) print(w io.Writer) error {
	for _, name := range slices.Sorted(maps.Keys(d.Results)) {
		t := d.Results[name]
		if _, err := fmt.Fprintf(w, "%-8s %10.2f +/- %.2f tok/s (%d runs, %d threads)\n", name, t.Mean, t.Stddev, t.N, d.Threads); err != nil {
			return err
		}
	}
	if d.Offload != nil {
		return d.Offload.print(w)
	}
	_, err := fmt.Fprintf(w, "%.2f MB per token: %.1f%% of a read bandwidth of %.1f GB/s\n", float64(d.TokenBytes)/1e6, 100*d.Share, d.ReadBandwidth/1e9)
	return err
}
