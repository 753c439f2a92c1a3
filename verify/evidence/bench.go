package evidence

import (
	"fmt"
	"io/fs"
	"math"
	"strings"
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
	Models []struct {
		Name  string           `json:"name"`
		Rows  []map[string]any `json:"rows"`
		Cells []struct {
			Prompt string     `json:"prompt"`
			Mode   string     `json:"mode"`
			TTFT   *benchStat `json:"ttft_s"`
			Total  *benchStat `json:"total_s"`
			Decode *benchStat `json:"decode_tok_s"`
			Tokens *benchStat `json:"completion_tokens"`
		} `json:"cells"`
		Memory []struct {
			Name   string `json:"name"`
			Bytes  int64  `json:"bytes"`
			Method string `json:"method"`
			Scope  string `json:"scope"`
		} `json:"memory"`
	} `json:"models"`
}

type benchStat struct {
	Mean float64 `json:"mean"`
	N    int     `json:"n"`
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
		item := Item{Name: "bench " + strings.TrimPrefix(f.Path, "bench/"), About: "means are those of the rows, rows are plausible, three runs at least"}
		var d benchDoc
		if err := readJSON(fsys, f.Path, &d); err != nil {
			item.Problems = []string{err.Error()}
		} else {
			item.Problems = d.problems()
		}
		out = append(out, item)
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
		values := map[string]map[string][]float64{} // by prompt and mode, then figure
		var shares []float64
		for _, r := range model.Rows {
			prompt, _ := r["prompt"].(string)
			mode, _ := r["mode"].(string)
			cell := prompt + ", " + mode
			if values[cell] == nil {
				values[cell] = map[string][]float64{}
			}
			for _, key := range []string{"ttft_s", "total_s", "decode_tok_s", "completion_tokens"} {
				if v, ok := r[key].(float64); ok {
					values[cell][key] = append(values[cell][key], v)
				}
			}
			if n, ok := r["completion_tokens"].(float64); ok && most[prompt] > 0 && int(n) > most[prompt] {
				say("%s, %s: %v tokens of at most %d", model.Name, cell, n, most[prompt])
			}
			t, ok := r["ttft_s"].(float64)
			total, _ := r["total_s"].(float64)
			if ok && total > 0 {
				shares = append(shares, t/total)
			}
		}
		if constant(shares) {
			say("%s: the first token came after the same share of the time, %.4f, in all of %d runs", model.Name, shares[0], len(shares))
		}
		for _, c := range model.Cells {
			cell := c.Prompt + ", " + c.Mode
			for key, s := range map[string]*benchStat{"ttft_s": c.TTFT, "total_s": c.Total, "decode_tok_s": c.Decode, "completion_tokens": c.Tokens} {
				if p := s.against(values[cell][key]); p != "" {
					say("%s, %s: %s %s", model.Name, cell, key, p)
				}
			}
		}
		for _, f := range model.Memory {
			if f.Bytes <= 0 || f.Method == "" || f.Scope == "" {
				say("%s: memory %s: %d bytes, method %q, scope %q", model.Name, f.Name, f.Bytes, f.Method, f.Scope)
			}
		}
	}
	return out
}

// against says in what a mean differs from that of the rows.
func (s *benchStat) against(rows []float64) string {
	if s == nil {
		return ""
	}
	sum := 0.0
	for _, v := range rows {
		sum += v
	}
	switch {
	case s.N < leastRuns:
		return fmt.Sprintf("is the mean of %d runs: not publishable below %d", s.N, leastRuns)
	case s.N != len(rows):
		return fmt.Sprintf("is the mean of %d runs, there are %d", s.N, len(rows))
	case math.Abs(sum/float64(len(rows))-s.Mean) > 1e-9*math.Abs(s.Mean):
		return fmt.Sprintf("has the mean %v, the rows have %v", s.Mean, sum/float64(len(rows)))
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
