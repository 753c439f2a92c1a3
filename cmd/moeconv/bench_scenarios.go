package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/moeconv/moeconv/recipes"
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
	places    []string
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
	f.StringArrayVar(&s.places, "place", nil, "compare placements of SRC, loaded once for each of these `FLAGS` and asked in turn: resident, cpu-moe, n-cpu-moe=4, '--expert-ram 2G'")
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

// benchDoc is a measurement of scenarios, or of placements.
type benchDoc struct {
	envelope
	bench.Result
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
	doc := benchDoc{envelope: a.envelope()}
	groups, err := s.groups(cmd, args, run)
	if err != nil {
		return err
	}
	for _, group := range groups {
		r, err := a.benchGroup(cmd, group, src, s)
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
	return a.emit(doc, func(w io.Writer) error { return printReport(w, doc.Report) })
}

// subject is a model to be loaded, and how.
type subject struct {
	source string
	run    runFlags
	place  string // the flags that place its tensors, where placements are compared
}

// resident is the placement without flags.
const resident = "resident"

// groups are the models that are measured in one run each, asked in turn; an empty one is the endpoint's.
func (s *scenarioFlags) groups(cmd *cobra.Command, args []string, run runFlags) ([][]subject, error) {
	var all []subject
	for _, name := range args {
		all = append(all, subject{source: name, run: run})
	}
	switch {
	case s.at.url != "":
		return [][]subject{nil}, nil
	case len(s.places) > 0:
		places, err := s.placed(cmd, args[0], run)
		return [][]subject{places}, err
	case s.together:
		return [][]subject{all}, nil
	}
	return slices.Collect(slices.Chunk(all, 1)), nil
}

// placed is one model once for each --place.
func (s *scenarioFlags) placed(cmd *cobra.Command, name string, run runFlags) (out []subject, err error) {
	for _, f := range append([]string{"ram", "expert-ram", "mmap"}, placing...) {
		if cmd.Flags().Changed(f) {
			return nil, usageError{fmt.Errorf("--%s cannot be used with --place, which takes it among its FLAGS", f)}
		}
	}
	for i, text := range s.places {
		if slices.Contains(s.places[:i], text) || len(s.places) < 2 {
			return nil, usageError{fmt.Errorf("--place %q: want two placements or more, each once", text)}
		}
		own := run
		own.own = pflag.NewFlagSet("--place", pflag.ContinueOnError)
		own.registerPlaces(own.own)
		words := strings.Fields(text)
		if len(words) > 0 && !strings.HasPrefix(words[0], "-") {
			words[0] = "--" + words[0]
		}
		if text == resident {
			words = []string{text}
		} else {
			err := own.own.Parse(llamaSpelling(append([]string{"bench"}, words...))[1:])
			if err == nil && own.own.NArg() > 0 {
				err = fmt.Errorf("%s is no flag", own.own.Arg(0))
			}
			if err != nil {
				return nil, usageError{withHint(fmt.Errorf("--place %q: %w", text, err), "resident, or flags that place tensors, such as n-cpu-moe=4, as they are written without --place")}
			}
		}
		if _, err := own.options(cmd); err != nil {
			return nil, fmt.Errorf("--place %q: %w", text, err)
		}
		out = append(out, subject{name, own, strings.Join(words, " ")})
	}
	return out, nil
}

// benchGroup measures models, asked in turn; none is the endpoint's.
func (a *app) benchGroup(cmd *cobra.Command, group []subject, src sourceFlags, s scenarioFlags) (r *bench.Report, failed error) {
	var targets []bench.Target
	var names []string
	if group == nil {
		names = append(names, s.at.url)
		t, err := a.benchEndpoint(cmd, src, s)
		if err != nil {
			return nil, err
		}
		targets = append(targets, t)
	}
	for _, x := range group {
		t, stop, err := a.benchSource(cmd, x, src)
		if err != nil {
			return nil, err
		}
		defer func() { failed = errors.Join(failed, stop()) }()
		targets, names = append(targets, t), append(names, t.Name)
	}
	progress, done := a.track("measuring "+strings.Join(names, ", "), false)
	defer done()
	s.opts.Progress = func(done, all int) { progress(int64(done), int64(all)) }
	return bench.Run(cmd.Context(), targets, s.opts)
}

func (s *scenarioFlags) check(args []string) error {
	switch {
	case (s.at.url == "") == (len(args) == 0):
		return usageError{errors.New("bench wants SRC, or --endpoint")}
	case len(s.places) > 0 && len(args) != 1:
		return usageError{errors.New("--place compares placements of one SRC")}
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
func (a *app) benchSource(cmd *cobra.Command, x subject, src sourceFlags) (t bench.Target, stop func() error, err error) {
	hosted, err := a.hosted(cmd, x.source, src, x.run)
	if err != nil {
		return t, nil, err
	}
	if x.place != "" {
		hosted.Name += " " + x.place
	}
	start := time.Now()
	m, done, err := a.load(x.source, src, x.run, cmd)
	if err != nil {
		return t, nil, err
	}
	hosted.Load = time.Since(start)
	t, end, err := bench.Serve(m, hosted)
	if err != nil {
		done()
		return t, nil, err
	}
	t.Place = x.place
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
	if t, err = bench.Remote(cmd.Context(), c, s.at.url, os.Getenv(recipes.EndpointKeyEnv)); err != nil {
		return t, err
	}
	if s.extra != "" {
		if err := json.Unmarshal([]byte(s.extra), &t.Extra); err != nil {
			return t, usageError{fmt.Errorf("--extra: %w", err)}
		}
	}
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
