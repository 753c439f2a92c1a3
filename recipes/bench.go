package recipes

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/runtime"
	"github.com/moeconv/moeconv/runtime/offload"
	"github.com/moeconv/moeconv/runtime/server"
	"github.com/moeconv/moeconv/verify"
	"github.com/moeconv/moeconv/verify/bench"
	"github.com/moeconv/moeconv/verify/evidence"
)

// Bench says whether a release is measured, and how. It never holds a file back.
type Bench struct {
	When      string `yaml:"when"`     // never (default), endpoint or always: with this machine's CPU
	Endpoint  string `yaml:"endpoint"` // with when: endpoint, the address of an OpenAI-compatible server
	Repeat    int    `yaml:"repeat"`   // runs of each cell, 5 by default, 3 at least
	MaxTokens int    `yaml:"max_tokens"`
	Suite     string `yaml:"suite"`
	Ladder    []int  `yaml:"ladder"` // with when: always, numbers of --n-cpu-moe to measure each file with
}

// EndpointKeyEnv is the environment variable with the bearer token of an endpoint.
const EndpointKeyEnv = "MOECONV_ENDPOINT_KEY"

// Hosted is a model in this process as bench accounts for its memory.
func Hosted(name string, src gguf.Source, kv gguf.Type, place offload.Options) bench.Hosted {
	return bench.Hosted{Name: name, Tensors: src.Tensors(), KV: kv, Windows: Windows(src.Metadata()), Place: place}
}

// When a release is measured.
const (
	benchNever    = "never"
	benchEndpoint = "endpoint"
	benchAlways   = "always"
)

func (r *Recipe) checkBench() error {
	b := &r.Bench
	if b.When == "" {
		b.When = benchNever
	}
	if b.Repeat == 0 {
		b.Repeat = 5
	}
	if b.MaxTokens == 0 {
		b.MaxTokens = 100
	}
	if b.Suite == "" {
		b.Suite = bench.Suites[0].Name
	}
	u, err := url.Parse(b.Endpoint)
	switch {
	case b.When != benchNever && b.When != benchEndpoint && b.When != benchAlways:
		return r.errorf("key bench.when: %q; want never, endpoint or always", b.When)
	case (b.When == benchEndpoint) != (b.Endpoint != ""):
		return r.errorf("key bench: when: endpoint and endpoint go together")
	case b.Endpoint != "" && (err != nil || u.Host == ""):
		return r.errorf("key bench.endpoint: %q is no address", b.Endpoint)
	case b.Repeat < bench.LeastRuns:
		return r.errorf("key bench.repeat: %d; want %d or more, for an interval", b.Repeat, bench.LeastRuns)
	case b.MaxTokens < 2:
		return r.errorf("key bench.max_tokens: %d; want 2 or more", b.MaxTokens)
	case len(b.Ladder) == 1 || len(b.Ladder) > 0 && b.When == benchEndpoint:
		return r.errorf("key bench.ladder: wants two numbers or more, and when: always")
	case bench.FindSuite(b.Suite) == nil:
		return r.errorf("key bench.suite: there is no suite %q", b.Suite)
	}
	return nil
}

// benchResult is a document of the stage, in the form of the bench command's.
type benchResult struct {
	Schema string        `json:"schema"`
	Tool   evidence.Tool `json:"tool"`
	bench.Result
}

// keep writes a result.
func (j *job) keep(stem string, r bench.Result) error {
	return evidence.WriteJSON(stem+benchExt, benchResult{bench.SchemaName, j.o.Tool, r})
}

// bench measures what passed, where the recipe wants it. What has a result already is not measured again.
func (j *job) bench(ctx context.Context) error {
	switch j.r.Bench.When {
	case benchNever:
		return nil
	case benchEndpoint:
		return j.benchEndpoint(ctx)
	}
	measured, kept := 0, 0
	for i := range j.report.Outputs {
		o := &j.report.Outputs[i]
		if o.Verdict == string(verify.Fail) || o.Away {
			continue
		}
		stem := filepath.Join(j.o.Out, j.name+"-"+o.Label)
		for _, m := range j.measurements(o, stem) {
			if !j.o.Force && m.done() {
				kept++
				continue
			}
			if err := m.run(ctx); err != nil {
				return fmt.Errorf("bench %s: %w", o.Label, err)
			}
			measured++
		}
	}
	j.report.acted = j.report.acted || measured > 0
	j.report.stage("bench", fmt.Sprintf("%d measured, %d measured by an earlier run", measured, kept))
	return nil
}

// measurement is what is measured of a file, and how to tell that it has been.
type measurement struct {
	done func() bool
	run  func(context.Context) error
}

// measurements are those that the recipe wants of a file.
func (j *job) measurements(o *Output, stem string) []measurement {
	sha := o.Files[0].SHA256
	out := []measurement{{func() bool { return benched(stem, sha) != nil }, func(ctx context.Context) error { return j.benchOutput(ctx, o, stem) }}}
	if steps := j.r.Bench.Ladder; len(steps) > 0 {
		beside := stem + ladderStem
		out = append(out, measurement{func() bool {
			old := benched(beside, sha)
			return old != nil && old.Ladder.Is(steps)
		}, func(ctx context.Context) error { return j.benchLadder(ctx, o, beside) }})
	}
	return out
}

// Names of results: NAME-LABEL.bench.json, NAME-LABEL.ladder.bench.json.
const (
	benchExt   = ".bench.json"
	ladderStem = ".ladder"
)

// benched is the result of this very file that is there, nil for none.
func benched(stem, sha string) *benchResult {
	var old benchResult
	data, err := os.ReadFile(stem + benchExt)
	if err != nil || json.Unmarshal(data, &old) != nil || old.SHA256 != sha {
		return nil
	}
	return &old
}

// benchLadder measures placements of a file, each in a process of this program.
func (j *job) benchLadder(ctx context.Context, o *Output, stem string) error {
	name := filepath.Join(j.o.Out, filepath.FromSlash(o.Name()))
	f, err := gguf.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	self, err := os.Executable()
	if err != nil {
		return err
	}
	progress, done := j.o.Observer.Track("bench placements of "+o.Label, false)
	defer done()
	l, err := bench.MeasureLadder(ctx, f, bench.LadderOptions{Command: []string{self}, Source: name, Name: o.Label, Steps: j.r.Bench.Ladder, PP: ladderPP, TG: ladderTG,
		Runs: j.r.Bench.Repeat, Order: 1, Threads: j.o.Threads, Progress: func(n, all int) { progress(int64(n), int64(all)) }})
	if err != nil {
		return err
	}
	return j.keep(stem, bench.Result{SHA256: o.Files[0].SHA256, Ladder: l})
}

// ladderPP and ladderTG are the tokens that a recipe's ladder evaluates, as llama-bench does by default.
const ladderPP, ladderTG = 512, 128

func (j *job) benchOutput(ctx context.Context, o *Output, stem string) (failed error) {
	f, err := gguf.Open(filepath.Join(j.o.Out, filepath.FromSlash(o.Name())))
	if err != nil {
		return err
	}
	defer f.Close()
	start := time.Now()
	m, err := runtime.Load(f, runtime.Options{Threads: j.o.Threads, Activations: runtime.ActivationsIntegers, KV: gguf.F16, Log: j.log.line}.Fitted())
	if err != nil {
		return err
	}
	defer m.Close()
	h := Hosted(o.Label, f, gguf.F16, offload.Options{})
	h.Load = time.Since(start)
	t, stop, err := bench.Serve(m, h)
	if err != nil {
		return err
	}
	defer func() { failed = errors.Join(failed, stop()) }()
	own, err := m.ChatTemplate("", false)
	if err != nil {
		return err
	}
	return j.measure(ctx, t, own.Own, stem, o.Files[0].SHA256)
}

func (j *job) benchEndpoint(ctx context.Context) error {
	stem := filepath.Join(j.o.Out, j.name+"-endpoint")
	if !j.o.Force && benched(stem, "") != nil {
		j.report.stage("bench", "the endpoint was measured by an earlier run")
		return nil
	}
	key := os.Getenv(EndpointKeyEnv)
	c, err := server.NewClient(j.r.Bench.Endpoint, server.ClientOptions{Key: key})
	if err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	t, err := bench.Remote(ctx, c, j.r.Bench.Endpoint, key)
	if err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	if err := j.measure(ctx, t, true, stem, ""); err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	j.report.acted = true
	j.report.stage("bench", "the endpoint's "+t.Name+" measured")
	return nil
}

// measure runs the recipe's suite and keeps the result and the trace beside the files.
func (j *job) measure(ctx context.Context, t bench.Target, chat bool, stem, sha string) error {
	b := j.r.Bench
	suite := bench.FindSuite(b.Suite)
	var trace bytes.Buffer
	progress, done := j.o.Observer.Track("bench "+t.Name, false)
	defer done()
	rep, err := bench.Run(ctx, []bench.Target{t}, bench.Options{Runs: b.Repeat, MaxTokens: b.MaxTokens, Temperature: 0.3, Seed: 1, Order: 1, Chat: chat,
		Suite: suite, Pause: suite.Pause, Trace: &trace, Progress: func(n, all int) { progress(int64(n), int64(all)) }})
	if err != nil {
		return err
	}
	for i := range rep.Models {
		rep.Models[i].Endpoint = "in process"
		if b.When == benchEndpoint {
			rep.Models[i].Endpoint = "endpoint" // its address is nobody's business
		}
	}
	if err := evidence.WriteFile(stem+".trace.jsonl", trace.Bytes()); err != nil {
		return err
	}
	return j.keep(stem, bench.Result{SHA256: sha, Report: rep})
}
