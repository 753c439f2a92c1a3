package bench

import (
	"math"
	"slices"
)

// Stat is a figure over runs.
type Stat struct {
	Mean   float64 `json:"mean"`
	Stddev float64 `json:"stddev"` // of the sample
	CI95   float64 `json:"ci95"`   // half the width of the mean's 95% interval, by Student's t
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
	N      int     `json:"n"`
}

// Cell is the runs of a prompt in a mode. A figure that not all of its runs have is null.
type Cell struct {
	Prompt  string `json:"prompt"`
	Mode    string `json:"mode"`
	Tokens  *Stat  `json:"completion_tokens"`
	TTFT    *Stat  `json:"ttft_s"`
	Total   *Stat  `json:"total_s"`
	Prefill *Stat  `json:"prefill_tok_s"`
	Decode  *Stat  `json:"decode_tok_s"`
	Overall *Stat  `json:"overall_tok_s"`
	P50     *Stat  `json:"inter_token_p50_s"`
	P95     *Stat  `json:"inter_token_p95_s"`
	Drift   *Stat  `json:"speed_drift"`
	Score   *Stat  `json:"score"`
	Texts   int    `json:"distinct_texts"` // 1: the runs are repetitions, and tokens have no spread
}

// Agree says how many pairs of answers are equal, of those that should be: same prompt and seed.
type Agree struct {
	Equal int `json:"equal"`
	Pairs int `json:"pairs"`
}

// t95 is the 97.5% quantile of Student's t by degrees of freedom, from 1 on.
var t95 = []float64{12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
	2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042}

// newStat is nil for less than two values.
func newStat(values []float64) *Stat {
	n := len(values)
	if n < 2 {
		return nil
	}
	s := &Stat{N: n, Min: slices.Min(values), Max: slices.Max(values)}
	for _, v := range values {
		s.Mean += v / float64(n)
	}
	for _, v := range values {
		s.Stddev += (v - s.Mean) * (v - s.Mean)
	}
	s.Stddev = math.Sqrt(s.Stddev / float64(n-1))
	if s.Min == s.Max { // no rounding of the sums
		s.Mean, s.Stddev = s.Min, 0
	}
	t := 1.96
	if n-1 <= len(t95) {
		t = t95[n-2]
	}
	s.CI95 = t * s.Stddev / math.Sqrt(float64(n))
	return s
}

// quantile is that of sorted values, between the nearest two.
func quantile(sorted []float64, q float64) float64 {
	at := q * float64(len(sorted)-1)
	i := int(at)
	if i+1 >= len(sorted) {
		return sorted[len(sorted)-1]
	}
	return sorted[i] + (at-float64(i))*(sorted[i+1]-sorted[i])
}

// summarise makes the cells.
func (m *Model) summarise(s *Suite) {
	type key struct {
		prompt string
		run    int
	}
	texts := map[key]string{}
	for _, r := range m.Rows {
		if r.Mode == Streaming {
			texts[key{r.Prompt, r.Run}] = r.Text
		}
	}
	for _, r := range m.Rows {
		if r.Mode == NonStreaming {
			m.Same.Pairs++
			if texts[key{r.Prompt, r.Run}] == r.Text {
				m.Same.Equal++
			}
		}
	}
	for _, r := range m.Rows {
		if r.Score >= passScore {
			m.Success += 1 / float64(len(m.Rows))
		}
	}
	var busy, total float64
	for _, r := range m.Rows {
		if r.CPU == nil {
			busy = 0
			break
		}
		busy, total = busy+*r.CPU, total+r.Total
	}
	if busy > 0 {
		cores := busy / total
		m.Cores = &cores
	}
	for _, p := range s.Prompts {
		for _, mode := range s.Modes {
			m.Cells = append(m.Cells, newCell(m.Rows, p.Name, mode))
		}
	}
	if s.Judged {
		m.Protocol = m.judge()
	}
}

func newCell(rows []Row, prompt, mode string) Cell {
	rows = slices.DeleteFunc(slices.Clone(rows), func(r Row) bool { return r.Prompt != prompt || r.Mode != mode })
	stat := func(figure func(r *Row) *float64) *Stat {
		var values []float64
		for i := range rows {
			v := figure(&rows[i])
			if v == nil {
				return nil
			}
			values = append(values, *v)
		}
		return newStat(values)
	}
	distinct := map[string]bool{}
	for _, r := range rows {
		distinct[r.Text] = true
	}
	return Cell{
		Prompt: prompt, Mode: mode, Texts: len(distinct),
		Tokens: stat(func(r *Row) *float64 {
			if r.Tokens == nil {
				return nil
			}
			n := float64(*r.Tokens)
			return &n
		}),
		TTFT: stat(func(r *Row) *float64 { return r.TTFT }), Total: stat(func(r *Row) *float64 { return &r.Total }),
		Prefill: stat(func(r *Row) *float64 { return r.Prefill }), Decode: stat(func(r *Row) *float64 { return r.Decode }),
		Overall: stat(func(r *Row) *float64 { return r.Overall }), P50: stat(func(r *Row) *float64 { return r.P50 }), P95: stat(func(r *Row) *float64 { return r.P95 }),
		Drift: stat(func(r *Row) *float64 { return r.Drift }),
		Score: stat(func(r *Row) *float64 {
			v := float64(r.Score)
			return &v
		}),
	}
}
