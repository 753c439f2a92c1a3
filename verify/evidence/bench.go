package evidence

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/moeconv/moeconv/verify/bench"
)

// benchDoc is what an audit reads of a result of bench.
type benchDoc struct {
	Schema  string `json:"schema"`
	Options struct {
		MaxTokens int `json:"max_tokens"`
	} `json:"options"`
	Prompts []struct {
		Name      string `json:"name"`
		MaxTokens int    `json:"max_tokens"`
	} `json:"prompts"`
	Models []benchModel `json:"models"`
	Ladder *struct {
		Steps []ladderStep `json:"steps"`
	} `json:"ladder"`
}

// benchModel is the measurements of one model.
type benchModel struct {
	Name   string           `json:"name"`
	Rows   []map[string]any `json:"rows"`
	Cells  []map[string]any `json:"cells"`
	Memory []amount         `json:"memory"`
}

// ladderStep is one placement of a measured ladder.
type ladderStep struct {
	NCPUMoE int            `json:"n_cpu_moe"`
	Prefill map[string]any `json:"prefill_tok_s"`
	Decode  map[string]any `json:"decode_tok_s"`
	Memory  []amount       `json:"memory"`
}

// amount is an amount of memory, how it was found and of what it is.
type amount struct {
	Name   string `json:"name"`
	Bytes  int64  `json:"bytes"`
	Method string `json:"method"`
	Scope  string `json:"scope"`
}

// problem says what is wrong with an amount; a model may keep no cache, and no expert on the host.
func (a *amount) problem() string {
	none := a.Bytes == 0 && (a.Name == "kv_cache" || a.Name == "host_experts")
	if a.Bytes > 0 || none {
		if a.Method != "" && a.Scope != "" {
			return ""
		}
	}
	return fmt.Sprintf("memory %s: %d bytes, method %q, scope %q", a.Name, a.Bytes, a.Method, a.Scope)
}

// leastRuns is how many runs a mean needs to be published.
const leastRuns = 3

// benches holds every result of bench against its own rows.
func benches(fsys fs.FS, m *Manifest) []Item {
	var out []Item
	for _, f := range m.Files {
		if !strings.HasPrefix(f.Path, "bench/") || !strings.HasSuffix(f.Path, ".json") {
			continue
		}
		name := strings.TrimPrefix(f.Path, "bench/")
		report, err := readFile(fsys, f.Path)
		item := func(kind, about string, check func() []string) {
			i := Item{Name: kind + " " + name, About: about}
			if err != nil {
				i.Problems = []string{err.Error()}
			} else {
				i.Problems = check()
			}
			out = append(out, i)
		}
		item("bench", "means are those of the rows, rows are plausible, three runs at least", func() []string { return reported(f.Path, report) })
		if trace, ok := m.File(strings.TrimSuffix(f.Path, ".bench.json") + ".trace.jsonl"); ok {
			item("trace", "rows are what the trace of the requests shows", func() []string { return traced(fsys, f.Path, report, trace.Path) })
		}
	}
	return out
}

// reported holds what a result says of its rows together against them.
func reported(name string, report []byte) []string {
	var d benchDoc
	if err := json.Unmarshal(report, &d); err != nil {
		return []string{fmt.Sprintf("evidence: %s: %v", name, err)}
	}
	out, err := bench.Misstated(report)
	if err != nil {
		out = []string{fmt.Sprintf("%s: %v", name, err)}
	}
	return append(d.problems(), out...)
}

// traced holds the rows of a result against the trace of its requests.
func traced(fsys fs.FS, name string, report []byte, trace string) []string {
	lines, err := readFile(fsys, trace)
	if err != nil {
		return []string{err.Error()}
	}
	out, err := bench.Contradictions(report, bytes.NewReader(lines))
	if err != nil {
		return []string{fmt.Sprintf("%s, %s: %v", name, trace, err)}
	}
	return out
}

func (d *benchDoc) problems() []string {
	var out []string
	say := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	most := map[string]int{}
	for _, p := range d.Prompts {
		if most[p.Name] = p.MaxTokens; p.MaxTokens == 0 {
			most[p.Name] = d.Options.MaxTokens
		}
	}
	for _, model := range d.Models {
		for _, p := range model.problems(most) {
			say("%s%s", model.Name, p)
		}
	}
	if d.Ladder != nil {
		for _, s := range d.Ladder.Steps {
			for _, p := range s.problems() {
				say("--n-cpu-moe %d: %s", s.NCPUMoE, p)
			}
		}
	}
	return out
}

// problems holds a model's means against its rows. most is the tokens that an answer to a prompt may have; what it says
// goes behind the model's name.
func (m *benchModel) problems(most map[string]int) []string {
	var out []string
	say := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	values := map[string]map[string][]float64{} // by prompt and mode, then figure
	var shares []float64
	for _, r := range m.Rows {
		prompt, _ := r["prompt"].(string)
		mode, _ := r["mode"].(string)
		cell := prompt + ", " + mode
		if values[cell] == nil {
			values[cell] = map[string][]float64{}
		}
		for key, v := range r {
			if v, ok := v.(float64); ok {
				values[cell][key] = append(values[cell][key], v)
			}
		}
		if n, ok := r["completion_tokens"].(float64); ok && most[prompt] > 0 && int(n) > most[prompt] {
			say(", %s: %v tokens of at most %d", cell, n, most[prompt])
		}
		t, ok := r["ttft_s"].(float64)
		total, _ := r["total_s"].(float64)
		if ok && total > 0 {
			shares = append(shares, t/total)
		}
	}
	if constant(shares) {
		say(": the first token came after the same share of the time, %.4f, in all of %d runs", shares[0], len(shares))
	}
	for _, c := range m.Cells {
		prompt, _ := c["prompt"].(string)
		mode, _ := c["mode"].(string)
		cell := prompt + ", " + mode
		for _, key := range slices.Sorted(maps.Keys(c)) {
			stat, ok := c[key].(map[string]any)
			if !ok {
				continue
			}
			if p := against(stat, values[cell][key]); p != "" {
				say(", %s: %s %s", cell, key, p)
			}
		}
	}
	for _, f := range m.Memory {
		if p := f.problem(); p != "" {
			say(": %s", p)
		}
	}
	return out
}

// problems holds a step's means against its runs.
func (s *ladderStep) problems() []string {
	var out []string
	for _, f := range []struct {
		name string
		stat map[string]any
	}{{"prefill_tok_s", s.Prefill}, {"decode_tok_s", s.Decode}} {
		var runs []float64
		list, _ := f.stat["runs"].([]any)
		for _, v := range list {
			if v, ok := v.(float64); ok {
				runs = append(runs, v)
			}
		}
		if p := against(f.stat, runs); p != "" {
			out = append(out, f.name+" "+p)
		}
	}
	for _, f := range s.Memory {
		if p := f.problem(); p != "" {
			out = append(out, p)
		}
	}
	return out
}

// against says in what the summary of a figure differs from its rows.
func against(stat map[string]any, rows []float64) string {
	n, _ := stat["n"].(float64)
	switch {
	case n < leastRuns:
		return fmt.Sprintf("is the mean of %v runs: not publishable below %d", n, leastRuns)
	case int(n) != len(rows):
		return fmt.Sprintf("is the mean of %v runs, there are %d", n, len(rows))
	}
	sum := 0.0
	for _, v := range rows {
		sum += v
	}
	mean, squares := sum/n, 0.0
	for _, v := range rows {
		squares += (v - mean) * (v - mean)
	}
	stddev := math.Sqrt(squares / (n - 1))
	for _, want := range []struct {
		key   string
		value float64
	}{{"mean", mean}, {"stddev", stddev}, {"min", slices.Min(rows)}, {"max", slices.Max(rows)}} {
		got, ok := stat[want.key].(float64)
		if !ok && want.key != "mean" {
			continue
		}
		if !ok || math.Abs(got-want.value) > 1e-9*math.Max(math.Abs(mean), math.Abs(want.value)) {
			return fmt.Sprintf("has the %s %v, the rows have %v", want.key, stat[want.key], want.value)
		}
	}
	// Between Student's t of infinitely many runs and of three.
	if ci, ok := stat["ci95"].(float64); ok && (ci < 1.95*stddev/math.Sqrt(n)-1e-9*math.Abs(mean) || ci > 4.31*stddev/math.Sqrt(n)+1e-9*math.Abs(mean)) {
		return fmt.Sprintf("has the 95%% interval %v, the rows' standard deviation is %v", ci, stddev)
	}
	return ""
}

// constant reports values that no clock gives.
func constant(v []float64) bool {
	if len(v) < leastRuns {
		return false
	}
	low, high := v[0], v[0]
	for _, x := range v {
		low, high = math.Min(low, x), math.Max(high, x)
	}
	return high-low <= 1e-6*high
}
