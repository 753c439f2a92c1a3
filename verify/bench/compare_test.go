package bench

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/runtime"
	"github.com/moeconv/moeconv/runtime/offload"
)

// TestPlacements compares two placements of one model: what is asked alike is asked one after the other, the answers are the
// same, and every row is that of its trace.
func TestPlacements(t *testing.T) {
	p, _ := tiny(t)
	var targets []Target
	for _, n := range []int{0, 3} {
		place := offload.Options{NCPUMoE: n}
		m, err := runtime.Load(p, runtime.Options{Context: 128, Placement: place})
		if err != nil {
			t.Fatal(err)
		}
		target, stop, err := Serve(m, Hosted{Name: fmt.Sprint("tiny ", n), Tensors: p.Tensors(), KV: gguf.F32, Place: place})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := stop(); err != nil {
				t.Error(err)
			}
		})
		target.Place = fmt.Sprint("--n-cpu-moe ", n)
		targets = append(targets, target)
	}
	var traces bytes.Buffer
	o := Options{Suite: FindSuite("quants"), Runs: 3, MaxTokens: 6, Temperature: 0.3, Seed: 7, Order: 5, Chat: true, Trace: &traces}
	r, err := Run(t.Context(), targets, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate(t, r); err != nil {
		t.Error(err)
	}
	first := map[int]string{}
	for _, m := range r.Models {
		for _, row := range m.Rows {
			what := fmt.Sprint(row.Prompt, row.Mode, row.Run)
			if other, ok := first[row.Order/2]; ok && other != what {
				t.Errorf("%s was asked beside %s", what, other)
			}
			first[row.Order/2] = what
		}
	}
	c := r.Compared[0]
	if !c.Turns || c.Texts != (Agree{6, 6}) || len(c.Greedy) != 1 || !c.Greedy[0].Equal || *c.Greedy[0].Common != *c.Greedy[0].Tokens {
		t.Errorf("%+v", c)
	}
	if len(c.Differences) != 7 { // five figures of the stream, two of whole answers
		t.Errorf("%+v", c.Differences)
	}
	if p := r.Models[1].Placed; p.HostExperts != 6 || r.Models[1].Place != "--n-cpu-moe 3" {
		t.Errorf("%+v", p)
	}
	checkTrace(t, r, traces.String())
}

// checkTrace: the rows are those of the trace, and one that was changed, in either, is named.
func checkTrace(t *testing.T, r *Report, traces string) {
	t.Helper()
	data, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := Contradictions(data, strings.NewReader(traces)); err != nil || len(got) > 0 {
		t.Fatalf("%v, %v", got, err)
	}
	for name, damage := range map[string]func(*Row){
		"decode_tok_s": func(r *Row) { *r.Decode *= 1.01 }, "ttft_s": func(r *Row) { *r.TTFT /= 2 }, "total_s": func(r *Row) { r.Total += 0.001 },
		"completion_tokens": func(r *Row) { *r.Tokens++ }, "text": func(r *Row) { r.Text += "." }, "token_ids": func(r *Row) { r.IDs[0]++ },
		"score": func(r *Row) { r.Score-- }, "seed": func(r *Row) { r.Seed++ }, "inter_token_p95_s": func(r *Row) { r.P95 = nil },
		"no such request": func(r *Row) { r.Order += 99 },
	} {
		var bad Report
		if err := json.Unmarshal(data, &bad); err != nil {
			t.Fatal(err)
		}
		row := &bad.Models[1].Rows[0]
		for i := range bad.Models[1].Rows {
			if row = &bad.Models[1].Rows[i]; row.Mode == Streaming {
				break
			}
		}
		damage(row)
		changed, err := json.Marshal(bad)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Contradictions(changed, strings.NewReader(traces))
		if err != nil || !strings.Contains(strings.Join(got, "; "), name) || !strings.HasPrefix(got[0], "tiny 3: quantum, streaming, run ") {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	first, rest, _ := strings.Cut(traces, "\n")
	if got, err := Contradictions(data, strings.NewReader(rest)); err != nil || len(got) != 1 || !strings.Contains(got[0], "warm-up") {
		t.Errorf("%v, %v", got, err)
	}
	if got, err := Contradictions(data, strings.NewReader(traces+first+"\n")); err != nil || len(got) != 1 || !strings.Contains(got[0], "the rows lack") {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := Contradictions(data, strings.NewReader("{")); err == nil {
		t.Error("a damaged trace is read")
	}
}

// TestMisstated: what is said of rows together is held against them.
func TestMisstated(t *testing.T) {
	report := func() *Report {
		r := &Report{Options: Options{Runs: 3}, Prompts: FindSuite("quants").Prompts, Modes: both}
		for i, name := range []string{"a", "b"} {
			m := Model{Name: name}
			for run := range 3 {
				for order, mode := range both {
					m.Rows = append(m.Rows, Row{Prompt: "quantum", Mode: mode, Run: run, Order: 4*run + 2*order + i, Total: 1 + float64(run*run*(i+1)), Text: fmt.Sprint(run), Score: 2 + run})
				}
			}
			m.summarise(&Suite{Prompts: r.Prompts, Modes: r.Modes})
			r.Models = append(r.Models, m)
		}
		r.Compare()
		return r
	}
	for want, damage := range map[string]func(*Report){
		"":                       func(*Report) {},
		"b: success is 0.75":     func(r *Report) { r.Models[1].Success = 0.75 },
		"streaming_agreement/e":  func(r *Report) { r.Models[0].Same.Equal-- },
		"compared/0/texts/equal": func(r *Report) { r.Compared[0].Texts.Equal-- },
		"compared/0/differences/0/difference/mean": func(r *Report) { r.Compared[0].Differences[0].Pairs.Mean *= 2 },
		"compared/0/in_turn":                       func(r *Report) { r.Compared[0].Turns = false },
		"compared is []":                           func(r *Report) { r.Compared = []Comparison{} },
	} {
		r := report()
		damage(r)
		data, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Misstated(data)
		if text := strings.Join(got, "; "); err != nil || (want == "") != (text == "") || !strings.Contains(text, want) {
			t.Errorf("%s: %s, %v", want, text, err)
		}
	}
	if got, err := Misstated([]byte(`{"ladder": {}}`)); err != nil || len(got) > 0 {
		t.Errorf("a ladder: %v, %v", got, err)
	}
	if _, err := Misstated([]byte(`{"models": 7}`)); err == nil {
		t.Error("no report is one")
	}
}

// TestCompare: by hand.
func TestCompare(t *testing.T) {
	rows := func(add float64, ids ...int) (rows []Row) {
		for i := range 3 {
			rows = append(rows, Row{Prompt: "quantum", Mode: Streaming, Run: i, Order: 2*i + 1, Total: float64(i+1) + add*float64(i+1), IDs: ids})
		}
		return rows
	}
	r := &Report{Options: Options{Runs: 3}, Prompts: FindSuite("quants").Prompts, Modes: both, Models: []Model{{Name: "a", Rows: rows(0, 1, 2, 3)}, {Name: "b", Rows: rows(0.5, 1, 2, 4, 5)}}}
	r.Models[0].Greedy = []Row{{Prompt: "quantum", Mode: Greedy, IDs: []int{1, 2}}}
	r.Models[1].Greedy = []Row{{Prompt: "quantum", Mode: Greedy, IDs: []int{1, 3}}}
	r.Compare()
	c := r.Compared[0]
	d := c.Differences[0]
	if d.Figure != "total_s" || d.Base != 2 || d.Pairs.Mean != 1 || math.Abs(d.Pairs.Stddev-0.5) > 1e-12 || d.Pairs.N != 3 {
		t.Errorf("%+v, %+v", d, d.Pairs)
	}
	if *c.Greedy[0].Common != 1 || c.Greedy[0].Equal || c.Tokens.Mean != 0.5 {
		t.Errorf("%+v, %+v", c.Greedy[0], c.Tokens)
	}
}
