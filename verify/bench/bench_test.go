package bench

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/moeconv/moeconv/convert"
	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/runtime"
	"github.com/moeconv/moeconv/runtime/chat"
	"github.com/moeconv/moeconv/testdata"
)

// validate holds a document's own part, with the envelope, against the schema.
func validate(t *testing.T, part any) error {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(Schema))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("bench.json", doc); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("bench.json")
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(part)
	if err != nil {
		t.Fatal(err)
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	all := v.(map[string]any)
	all["schema"], all["tool"] = SchemaName, map[string]any{"version": "", "commit": "", "reference": ""}
	return schema.Validate(all)
}

func tiny(t *testing.T) (*convert.Plan, *runtime.Model) {
	t.Helper()
	p, err := convert.NewPlan(os.DirFS(testdata.Path("tiny/tiny-moe-go")), convert.Options{OutType: "bf16", Name: "tiny"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	m, err := runtime.Load(p, runtime.Options{Context: 256})
	if err != nil {
		t.Fatal(err)
	}
	return p, m
}

// TestOwn measures a model through our own server: all tokens are accounted for.
func TestOwn(t *testing.T) {
	p, m := tiny(t)
	target, stop, err := Serve(m, Hosted{Name: "tiny", Tensors: p.Tensors(), KV: gguf.F32})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	}()
	var traces bytes.Buffer
	o := Options{Suite: &Suites[0], Runs: 3, MaxTokens: 12, Temperature: 0.3, Seed: 7, Order: 1, Chat: true, Trace: &traces}
	r, err := Run(t.Context(), []Target{target}, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate(t, r); err != nil {
		t.Error(err)
	}
	model := r.Models[0]
	if len(model.Rows) != 24 || len(model.Cells) != 8 || model.Same != (Agree{12, 12}) || len(model.Memory) < 3 {
		t.Errorf("%d rows, %d cells, %+v, %+v", len(model.Rows), len(model.Cells), model.Same, model.Memory)
	}
	tmpl, err := m.ChatTemplate("", false)
	if err != nil {
		t.Fatal(err)
	}
	tok, err := m.Tokenizer()
	if err != nil {
		t.Fatal(err)
	}
	ratios := map[float64]bool{}
	for i, row := range model.Rows {
		at := slices.IndexFunc(Suites[0].Prompts, func(p Prompt) bool { return p.Name == row.Prompt })
		text, _ := json.Marshal([]map[string]string{{"role": "user", "content": Suites[0].Prompts[at].Text}})
		ids, err := tmpl.Tokens(t.Context(), chat.Input{Messages: text, AddGenerationPrompt: true})
		if err != nil {
			t.Fatal(err)
		}
		decoder := tok.DecoderAfter(ids)
		written := ""
		for _, id := range row.IDs {
			written += decoder.Push(int32(id))
		}
		if *row.PromptTokens != len(ids) || *row.Tokens != len(row.IDs) || row.Counter != "token_ids" || *row.CachedTokens != 0 || row.Order != i || row.Seed != 7+uint64(row.Run) {
			t.Errorf("%+v: the prompt has %d tokens", row, len(ids))
		}
		if row.Finish == "length" && strings.TrimRight(written, "\uFFFD") != strings.TrimRight(row.Text, "\uFFFD") {
			t.Errorf("ids %v are %q, the text is %q", row.IDs, written, row.Text)
		}
		if row.Mode == Streaming {
			ratios[*row.TTFT/row.Total] = true
			if *row.Chunks != *row.Tokens || row.P50 == nil || row.Decode == nil || row.Prefill == nil {
				t.Errorf("%+v", row)
			}
		} else if row.TTFT != nil || row.Decode != nil || row.Prefill != nil || row.Overall == nil {
			t.Errorf("%+v", row)
		}
	}
	if len(ratios) < 6 {
		t.Errorf("shares of the first token: %v", ratios)
	}
	lines := strings.Split(strings.TrimSpace(traces.String()), "\n")
	var last trace
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil || len(lines) != 25 {
		t.Fatalf("%d lines, %v", len(lines), err)
	}
	if row := model.Rows[23]; last.Order != 23 || last.Mode != row.Mode || row.Mode == Streaming && len(last.Events) != *row.Tokens {
		t.Errorf("%+v", last)
	}
}

// foreign is a server that is not ours: chunks of several tokens, and a usage only if it is asked to say one.
type foreign struct {
	usage  bool
	says   int // tokens, if not 8
	chunks int
}

func (f foreign) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var q struct{ Stream bool }
	if json.NewDecoder(r.Body).Decode(&q) != nil || r.URL.Path != "/v1/completions" && r.URL.Path != "/v1/chat/completions" {
		http.Error(w, "no", 400)
		return
	}
	usage := ""
	if f.usage {
		usage = fmt.Sprintf(`,"usage":{"prompt_tokens":5,"completion_tokens":%d,"total_tokens":9}`, f.says)
	}
	if !q.Stream {
		time.Sleep(time.Millisecond)
		fmt.Fprintf(w, `{"choices":[{"index":0,"message":{"role":"assistant","content":"a b c d e f g h"},"finish_reason":"length"}]%s}`, usage)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	fmt.Fprint(w, ": hello\n\ndata: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":null}}]}\n\n")
	for i := range f.chunks {
		time.Sleep(time.Millisecond)
		fmt.Fprintf(w, "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"part %d \"},\"finish_reason\":null}]}\n\n", i)
		w.(http.Flusher).Flush()
	}
	fmt.Fprintf(w, "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"length\"}]%s}\n\ndata: [DONE]\n\n", usage)
}

// TestForeign: a server's own count is checked, and one that says nothing is not guessed at.
func TestForeign(t *testing.T) {
	words := func(s string) (int, error) { return len(strings.Fields(s)), nil }
	for name, c := range map[string]struct {
		server  foreign
		count   func(string) (int, error)
		counter string
		tokens  int
		err     string
	}{
		"usage, parts of several tokens": {foreign{usage: true, says: 8, chunks: 3}, nil, "usage", 8, ""},
		"usage, a part a token":          {foreign{usage: true, says: 8, chunks: 8}, nil, "usage", 8, ""},
		"no usage":                       {foreign{chunks: 3}, nil, "none", 0, ""},
		"no usage, its tokenizer":        {foreign{chunks: 4}, words, "tokenizer", 8, ""},
		"fewer tokens than parts":        {foreign{usage: true, says: 2, chunks: 3}, nil, "", 0, "2 tokens, the stream has 3 parts"},
		"more than allowed":              {foreign{usage: true, says: 104, chunks: 3}, nil, "", 0, "104 tokens, 100 were the most"},
		"no tokens":                      {foreign{usage: true, says: 0, chunks: 0}, nil, "", 0, "no part"},
	} {
		h := httptest.NewServer(c.server)
		r, err := Run(t.Context(), []Target{{Name: name, URL: h.URL + "/v1/", Model: "x", Count: c.count}}, Options{Suite: &Suites[0], Runs: 3, MaxTokens: 100, Chat: true})
		h.Close()
		var bad *ImplausibleError
		if c.err != "" {
			if !errors.As(err, &bad) || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := validate(t, r); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, row := range r.Models[0].Rows {
			if row.Counter != c.counter || (row.Tokens == nil) != (c.tokens == 0) || row.Tokens != nil && *row.Tokens != c.tokens {
				t.Errorf("%s: %+v", name, row)
			}
			perToken := row.Mode == Streaming && c.tokens > 0 && *row.Chunks == c.tokens
			if (row.P50 != nil) != perToken || (row.Decode != nil) != (row.Mode == Streaming && c.tokens > 0) {
				t.Errorf("%s: gaps between tokens %v, decode %v of %+v", name, row.P50, row.Decode, row)
			}
		}
		for _, cell := range r.Models[0].Cells {
			if cell.Total == nil || cell.Total.N != 3 || (cell.TTFT != nil) != (cell.Mode == Streaming) || (cell.Overall != nil) != (c.tokens > 0) {
				t.Errorf("%s: %+v", name, cell)
			}
		}
	}
}

// TestBroken: an endpoint that fails is an error with what it said.
func TestBroken(t *testing.T) {
	for body, want := range map[string]string{
		"data: {\"error\":{\"message\":\"out of memory\"}}\n\n":     "out of memory",
		"data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n": "unexpected EOF",
		"data: {\n\n": "JSON",
	} {
		h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, body) }))
		if _, err := Run(t.Context(), []Target{{Name: "x", URL: h.URL}}, Options{Suite: &Suites[0], Runs: 3, MaxTokens: 5}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", body, err)
		}
		h.Close()
	}
	h := httptest.NewServer(http.NotFoundHandler())
	defer h.Close()
	if _, err := Run(t.Context(), []Target{{Name: "x", URL: h.URL}}, Options{Suite: &Suites[0], Runs: 3, MaxTokens: 5}); err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("%v", err)
	}
	if _, err := Run(t.Context(), nil, Options{Suite: &Suites[0], Runs: 2, MaxTokens: 5}); err == nil {
		t.Error("two runs: no error")
	}
}

// TestPlausible: each kind of data that was made up before is refused.
func TestPlausible(t *testing.T) {
	good := func() (rows []Row) {
		for i := range 4 {
			n, chunks, prompt := 10, 10, 5
			ttft := 0.1 + 0.01*float64(i)
			rows = append(rows, Row{Prompt: "short", Mode: Streaming, Run: i, Tokens: &n, PromptTokens: &prompt, Chunks: &chunks, TTFT: &ttft, Total: 1 + 0.03*float64(i*i)})
		}
		return rows
	}
	o := Options{Suite: &Suites[0], Runs: 4, MaxTokens: 10}
	if err := plausible(good(), o); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(r *Row){
		"same share":      func(r *Row) { *r.TTFT = r.Total / 10 },
		"11 tokens":       func(r *Row) { *r.Tokens = 11 },
		"no tokens":       func(r *Row) { *r.PromptTokens = 0 },
		"first token":     func(r *Row) { *r.TTFT = r.Total * 2 },
		"it took":         func(r *Row) { r.Total = 0 },
		"all 4 runs took": func(r *Row) { r.Total = 2.625 },
	} {
		rows := good()
		for i := range rows {
			change(&rows[i])
		}
		var bad *ImplausibleError
		if err := plausible(rows, o); !errors.As(err, &bad) || !strings.Contains(err.Error(), want) || bad.Hint() == "" {
			t.Errorf("%s: %v", want, err)
		}
	}
	if err := plausibleMemory([]Figure{{"rss", 0, "x", "y"}}); err == nil {
		t.Error("0 bytes: no error")
	}
}

// TestSuites: each has its prompts' numbers of tokens, which bound what is plausible.
// TestClock: events that were read together have the times at which the server drew their tokens.
func TestClock(t *testing.T) {
	a := trace{Events: []event{{Time: 9_000, Drawn: 1_000}, {Time: 9_001, Drawn: 2_000}, {Time: 9_002, Drawn: 3_000}, {Time: 9_003, Drawn: 8_500}}}
	events, clock := a.clock()
	if clock != "server" {
		t.Fatal(clock)
	}
	for i, want := range []int64{1_503, 2_503, 3_503, 9_003} { // the last one took 503 ns to come, no other less
		if got := events[i].Time; got != want {
			t.Errorf("event %d at %d ns, want %d", i, got, want)
		}
	}
	for _, events := range [][]event{{{Time: 5, Drawn: 1}, {Time: 6}}, {{Time: 5, Drawn: 3}, {Time: 6, Drawn: 2}}} {
		a := trace{Events: events}
		if got, clock := a.clock(); clock != "client" || got[0].Time != 5 {
			t.Errorf("%+v", got)
		}
	}
}

func TestSuites(t *testing.T) {
	h := httptest.NewServer(foreign{usage: true, says: 60, chunks: 16})
	defer h.Close()
	target := []Target{{Name: "x", URL: h.URL, Model: "x"}}
	if _, err := Run(t.Context(), target, Options{Suite: FindSuite("streaming"), Runs: 3, MaxTokens: 100}); err == nil || !strings.Contains(err.Error(), "60 tokens, 50 were the most") {
		t.Errorf("%v", err)
	}
	for name, cells := range map[string]int{"quants": 2, "long": 3} {
		r, err := Run(t.Context(), target, Options{Suite: FindSuite(name), Runs: 3, MaxTokens: 100})
		if err != nil {
			t.Fatal(err)
		}
		if err := validate(t, r); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if m := r.Models[0]; len(m.Cells) != cells || len(m.Rows) != 3*cells || m.Success != 1 && math.Abs(m.Success-1) > 1e-9 {
			t.Errorf("%s: %d cells, %d rows, success %v", name, len(m.Cells), len(m.Rows), m.Success)
		}
	}
	r, err := Run(t.Context(), target, Options{Suite: FindSuite("long"), Runs: 3, MaxTokens: 100})
	if err != nil {
		t.Fatal(err)
	}
	if p := r.Models[0].Protocol; p == nil || !p.Success || p.Speed != "good" || *p.Slowest < 2 {
		t.Errorf("%+v", p)
	}
	if FindSuite("x") != nil {
		t.Error("a suite of no name")
	}
}

// TestProtocol: the streaming protocol's bounds.
func TestProtocol(t *testing.T) {
	model := func(decode, drift, success float64) *Model {
		return &Model{Rows: []Row{{Decode: &decode}, {}}, Cells: []Cell{{Drift: &Stat{Mean: drift}}, {}}, Success: success}
	}
	for _, c := range []struct {
		m      *Model
		speed  string
		ok     bool
		steady bool
	}{{model(2, 0.8, 0.9), "good", true, true}, {model(1.99, 0.79, 0.89), "acceptable", false, false}, {model(0.99, 1.2, 1), "slow", true, true}} {
		if p := c.m.judge(); p.Speed != c.speed || p.Success != c.ok || *p.Steady != c.steady {
			t.Errorf("%+v: %+v", c, p)
		}
	}
	if p := (&Model{Rows: []Row{{}}, Cells: []Cell{{}}}).judge(); p.Speed != "unknown" || p.Steady != nil || p.Slowest != nil {
		t.Errorf("%+v", p)
	}
}

// TestJudge: an answer's score.
func TestJudge(t *testing.T) {
	for text, want := range map[string]int{
		"": 1, " \n": 1, "too short": 3, strings.Repeat("again and again ", 9): 3, strings.Repeat("a ", 9): 1,
		"A binary search halves the range that is left at each step.": 5,
	} {
		r := Row{Text: text}
		if r.judge(); r.Score != want {
			t.Errorf("%q: %d, repetition %v, want %d", text, r.Score, r.Repetition, want)
		}
	}
	var events []event
	for i := range 17 {
		events = append(events, event{Time: int64(i * i)})
	}
	if d := drift(events); d == nil || math.Abs(*d-16.0/112) > 1e-12 {
		t.Errorf("%v", d)
	}
}

// TestStat: by hand, with Student's t of four degrees of freedom.
func TestStat(t *testing.T) {
	s := newStat([]float64{1, 2, 3, 4, 5})
	if s.Mean != 3 || math.Abs(s.Stddev-1.5811388300841898) > 1e-15 || math.Abs(s.CI95-2.776*1.5811388/2.2360680) > 1e-6 || s.Min != 1 || s.Max != 5 {
		t.Errorf("%+v", s)
	}
	if newStat([]float64{1}) != nil {
		t.Error("an interval of one value")
	}
	if q := quantile([]float64{1, 2, 4}, 0.95); math.Abs(q-3.8) > 1e-12 {
		t.Errorf("%v", q)
	}
	if q := quantile([]float64{1, 2, 4}, 1); q != 4 {
		t.Errorf("%v", q)
	}
}
