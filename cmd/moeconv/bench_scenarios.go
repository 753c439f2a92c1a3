package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/moeconv/moeconv/runtime/token"
	"github.com/moeconv/moeconv/verify/bench"
)

// scenarioFlags are bench's without --raw.
type scenarioFlags struct {
	opts      bench.Options
	at        endpointFlags
	api       string
	trace     string
	tokenizer string
	together  bool
	suite     string
	extra     string
}

func (s *scenarioFlags) register(f *pflag.FlagSet) {
	s.at.register(f)
	f.IntVarP(&s.opts.MaxTokens, "max-tokens", "n", 100, "`TOKENS` of an answer at most")
	f.Float64Var(&s.opts.Temperature, "temp", 0.3, "temperature")
	f.Uint64Var(&s.opts.Seed, "seed", 1, "seed of each prompt's first run; the next has one more")
	f.Uint64Var(&s.opts.Order, "order-seed", 1, "seed of the order of all runs")
	f.StringVar(&s.api, "api", "chat", "how prompts are asked: chat, as a user's message, or completions, as texts to continue")
	f.StringVar(&s.trace, "trace", "", "write the time of every event to a `FILE`, a line of JSON a request")
	f.StringVar(&s.tokenizer, "tokenizer", "", "with --endpoint: count the tokens of a server that does not by the tokenizer of this `SRC`")
	f.StringVar(&s.suite, "suite", bench.Suites[0].Name, "what is asked: "+suitesText())
	f.Float64Var(&s.opts.Pause, "pause", -1, "`SECONDS` between requests (default: the suite's)")
	f.StringVar(&s.extra, "extra", "", "with --endpoint: more fields of each request, a JSON `OBJECT`: {\"cache_prompt\": false}")
	f.BoolVar(&s.together, "together", false, "load all models at the same time and ask them in turn, to compare them")
}

// suitesText is the suites for people.
func suitesText() string {
	var list []string
	for _, s := range bench.Suites {
		list = append(list, fmt.Sprintf("%s (%s)", s.Name, s.About))
	}
	return strings.Join(list, ", ")
}

type scenarioDoc struct {
	envelope
	*bench.Report
}

// benchScenarios measures the models one after the other.
func (a *app) benchScenarios(cmd *cobra.Command, args []string, src sourceFlags, run runFlags, s scenarioFlags) (err error) {
	if err := s.check(args); err != nil {
		return err
	}
	for _, name := range args { // before the first is measured
		m, err := a.open(name, src)
		if err != nil {
			return err
		}
		m.Close()
	}
	s.opts.Chat, s.opts.Suite = s.api == "chat", bench.FindSuite(s.suite)
	if s.opts.Pause < 0 {
		s.opts.Pause = s.opts.Suite.Pause
	}
	if s.trace != "" {
		f, err := os.Create(s.trace)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, f.Close()) }()
		s.opts.Trace = f
	}
	doc := scenarioDoc{envelope: a.envelope()}
	groups := slices.Collect(slices.Chunk(args, 1))
	switch {
	case s.at.url != "":
		groups = [][]string{nil}
	case s.together:
		groups = [][]string{args}
	}
	for _, group := range groups {
		r, err := a.benchGroup(cmd, group, src, run, s)
		if err != nil {
			return err
		}
		if doc.Report == nil {
			doc.Report = r
		} else {
			doc.Models = append(doc.Models, r.Models...)
			doc.Compare()
		}
	}
	return a.emit(doc, doc.print)
}

// benchGroup measures models, asked in turn; none is the endpoint's.
func (a *app) benchGroup(cmd *cobra.Command, names []string, src sourceFlags, run runFlags, s scenarioFlags) (r *bench.Report, failed error) {
	var targets []bench.Target
	what := strings.Join(names, ", ")
	if names == nil {
		what = s.at.url
		t, err := a.benchEndpoint(cmd, src, s)
		if err != nil {
			return nil, err
		}
		targets = append(targets, t)
	}
	for _, name := range names {
		t, stop, err := a.benchSource(cmd, name, src, run)
		if err != nil {
			return nil, err
		}
		defer func() { failed = errors.Join(failed, stop()) }()
		targets = append(targets, t)
	}
	progress, done := a.track("measuring "+what, false)
	defer done()
	s.opts.Progress = func(done, all int) { progress(int64(done), int64(all)) }
	return bench.Run(cmd.Context(), targets, s.opts)
}

func (s *scenarioFlags) check(args []string) error {
	switch {
	case (s.at.url == "") == (len(args) == 0):
		return usageError{errors.New("bench wants SRC, or --endpoint")}
	case s.at.url == "" && s.at.model != "":
		return usageError{errors.New("--endpoint-model goes with --endpoint")}
	case s.at.url == "" && s.tokenizer+s.extra != "":
		return usageError{errors.New("--tokenizer and --extra go with --endpoint")}
	case s.opts.Runs < bench.LeastRuns:
		return usageError{fmt.Errorf("--repeat %d: want %d or more, for an interval", s.opts.Runs, bench.LeastRuns)}
	case s.opts.MaxTokens < 2:
		return usageError{fmt.Errorf("--max-tokens %d: want 2 or more", s.opts.MaxTokens)}
	case s.opts.Temperature < 0:
		return usageError{fmt.Errorf("--temp %v: want 0 or more", s.opts.Temperature)}
	case bench.FindSuite(s.suite) == nil:
		return usageError{fmt.Errorf("--suite %s: want %s", s.suite, suitesText())}
	case s.api != "chat" && s.api != "completions":
		return usageError{fmt.Errorf("--api %s: want chat or completions", s.api)}
	}
	return nil
}

// benchSource is a model behind a server in this process, until stop is called.
func (a *app) benchSource(cmd *cobra.Command, name string, src sourceFlags, run runFlags) (t bench.Target, stop func() error, err error) {
	hosted, err := a.hosted(cmd, name, src, run)
	if err != nil {
		return t, nil, err
	}
	m, done, err := a.load(name, src, run, cmd)
	if err != nil {
		return t, nil, err
	}
	t, end, err := bench.Serve(m, hosted)
	if err != nil {
		done()
		return t, nil, err
	}
	return t, func() error {
		defer done()
		return end()
	}, nil
}

// benchEndpoint is a server's model.
func (a *app) benchEndpoint(cmd *cobra.Command, src sourceFlags, s scenarioFlags) (t bench.Target, err error) {
	c, err := s.at.client()
	if err != nil {
		return t, err
	}
	t = bench.Target{URL: s.at.url, Key: os.Getenv(endpointKeyEnv)}
	if s.extra != "" {
		if err := json.Unmarshal([]byte(s.extra), &t.Extra); err != nil {
			return t, usageError{fmt.Errorf("--extra: %w", err)}
		}
	}
	if t.Model, err = c.Model(cmd.Context()); err != nil {
		return t, err
	}
	t.Name = t.Model
	if s.tokenizer == "" {
		return t, nil
	}
	header, err := a.open(s.tokenizer, src)
	if err != nil {
		return t, err
	}
	defer header.Close()
	tok, err := token.New(header.Metadata())
	if err != nil {
		return t, fmt.Errorf("%s: %w", s.tokenizer, err)
	}
	t.Count = bench.Counter(tok)
	return t, nil
}

func (d scenarioDoc) print(w io.Writer) error {
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
		for _, f := range m.Memory {
			if _, err := fmt.Fprintf(w, "%-9s %10.2f MiB  %s; %s\n", f.Name, float64(f.Bytes)/(1<<20), f.Method, f.Scope); err != nil {
				return err
			}
		}
	}
	for _, c := range d.Compared {
		how := "one after the other"
		if c.Turns {
			how = "in turn"
		}
		if _, err := fmt.Fprintf(w, "%s and %s, asked %s: %d of %d answers are equal, the same share of tokens at the beginning %s\n", c.Base, c.Model, how, c.Texts.Equal, c.Texts.Pairs, statText(c.Tokens, 1)); err != nil {
			return err
		}
	}
	return nil
}

// statText is a figure in a table; one that was not observed is a dash.
func statText(s *bench.Stat, scale float64) string {
	if s == nil {
		return "-"
	}
	return fmt.Sprintf("%.4g +/- %.2g", scale*s.Mean, scale*s.CI95)
}
