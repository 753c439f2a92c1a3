package bench

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
)

// Comparison is a model against the first one: what both answer to the same prompts with the same seeds.
type Comparison struct {
	Base  string `json:"base"`
	Model string `json:"model"`
	Texts Agree  `json:"texts"`
	// Tokens is how long answers are the same, as a share of the longer one; null where the ids are not known.
	Tokens *Stat `json:"common_tokens"`
	// Turns says that both were measured in one run, asked in turn: else differences may be the machine's.
	Turns bool `json:"in_turn"`
	// Device is what the ledger says that a device would hold; null where it says nothing.
	Device *Reduction `json:"device"`
	// Greedy is the answers without sampling, one a prompt; empty where they were not asked in turn.
	Greedy []GreedyPair `json:"greedy"`
	// Differences are of pairs of requests made one after the other; empty where they were not asked in turn.
	Differences []Difference `json:"differences"`
}

// Reduction is an amount of memory of two models.
type Reduction struct {
	Base    int64   `json:"base_bytes"`
	Bytes   int64   `json:"bytes"`
	Percent float64 `json:"reduction_percent"` // of the base's
	Method  string  `json:"method"`
	Scope   string  `json:"scope"`
}

// reduction compares what a device would hold.
func reduction(base, m *Model) *Reduction {
	a, b := find(base.Memory, "device"), find(m.Memory, "device")
	if a == nil || b == nil || a.Bytes <= 0 {
		return nil
	}
	return &Reduction{a.Bytes, b.Bytes, 100 * (1 - float64(b.Bytes)/float64(a.Bytes)), a.Method, a.Scope}
}

// GreedyPair is what two models answer to a prompt at temperature 0.
type GreedyPair struct {
	Prompt     string `json:"prompt"`
	Equal      bool   `json:"equal"`         // ids where both are known, else texts
	Common     *int   `json:"common_tokens"` // ids that both begin with; null where they are not known
	BaseTokens *int   `json:"base_tokens"`
	Tokens     *int   `json:"tokens"`
}

// Difference is a figure of the model less that of the base, over the pairs of a cell: same prompt, mode and seed.
type Difference struct {
	Prompt string  `json:"prompt"`
	Mode   string  `json:"mode"`
	Figure string  `json:"figure"`
	Base   float64 `json:"base_mean"`
	Pairs  *Stat   `json:"difference"`
	Ratio  *Stat   `json:"ratio"` // of the model's figure to the base's, pair by pair
}

// figures are those that are compared.
var figures = []struct {
	name string
	of   func(*Row) *float64
}{
	{"ttft_s", func(r *Row) *float64 { return r.TTFT }},
	{"prefill_tok_s", func(r *Row) *float64 { return r.Prefill }},
	{"decode_tok_s", func(r *Row) *float64 { return r.Decode }},
	{"overall_tok_s", func(r *Row) *float64 { return r.Overall }},
	{"total_s", func(r *Row) *float64 { return &r.Total }},
}

// Compare fills in Compared.
func (r *Report) Compare() {
	r.Compared = []Comparison{}
	for i := 1; i < len(r.Models); i++ {
		base, m := &r.Models[0], &r.Models[i]
		c := Comparison{Base: base.Name, Model: m.Name, Turns: base.last() >= len(base.Rows) || m.last() >= len(m.Rows), Greedy: []GreedyPair{}, Differences: []Difference{}}
		pairs := pairRows(base.Rows, m.Rows)
		c.Texts.Pairs = len(pairs)
		var shares []float64
		for _, p := range pairs {
			if p[0].Text == p[1].Text {
				c.Texts.Equal++
			}
			if a, b := p[0].IDs, p[1].IDs; len(a) > 0 && len(b) > 0 {
				shares = append(shares, float64(common(a, b))/float64(max(len(a), len(b))))
			}
		}
		c.Tokens, c.Device = newStat(shares), reduction(base, m)
		for _, p := range pairRows(base.Greedy, m.Greedy) {
			c.Greedy = append(c.Greedy, newGreedyPair(p))
		}
		if c.Turns {
			c.Differences = differences(r, pairs)
		}
		r.Compared = append(r.Compared, c)
	}
}

// pairRows are the rows of two models that answer the same.
func pairRows(base, model []Row) (pairs [][2]*Row) {
	for i := range base {
		a := &base[i]
		if k := slices.IndexFunc(model, func(b Row) bool { return a.Prompt == b.Prompt && a.Mode == b.Mode && a.Run == b.Run }); k >= 0 {
			pairs = append(pairs, [2]*Row{a, &model[k]})
		}
	}
	return pairs
}

func newGreedyPair(p [2]*Row) GreedyPair {
	g := GreedyPair{Prompt: p[0].Prompt, Equal: p[0].Text == p[1].Text, BaseTokens: p[0].Tokens, Tokens: p[1].Tokens}
	if a, b := p[0].IDs, p[1].IDs; len(a) > 0 && len(b) > 0 {
		n := common(a, b)
		g.Common, g.Equal = &n, slices.Equal(a, b)
	}
	return g
}

// differences are by cell and figure; one that not all pairs of a cell have is left out.
func differences(r *Report, pairs [][2]*Row) []Difference {
	out := []Difference{}
	for _, p := range r.Prompts {
		for _, mode := range r.Modes {
			for _, f := range figures {
				d := Difference{Prompt: p.Name, Mode: mode, Figure: f.name}
				var values, ratios []float64
				for _, pair := range pairs {
					a, b := f.of(pair[0]), f.of(pair[1])
					if pair[0].Prompt != p.Name || pair[0].Mode != mode || a == nil || b == nil {
						continue
					}
					values, ratios = append(values, *b-*a), append(ratios, *b / *a)
					d.Base += *a
				}
				if len(values) == r.Options.Runs {
					d.Base /= float64(len(values))
					d.Pairs, d.Ratio = newStat(values), newStat(ratios)
					out = append(out, d)
				}
			}
		}
	}
	return out
}

// last is the largest number of a row.
func (m *Model) last() int {
	n := 0
	for _, r := range m.Rows {
		n = max(n, r.Order)
	}
	return n
}

// common is how many tokens two answers begin with.
func common(a, b []int) int {
	n := 0
	for n < min(len(a), len(b)) && a[n] == b[n] {
		n++
	}
	return n
}

// greedy asks every target each prompt once at temperature 0, in turn: what placements, or files, answer by themselves.
func (r *Report) greedy(ctx context.Context, clients []*client, o Options) error {
	order := len(clients) * o.Runs * len(o.Suite.Prompts) * len(o.Suite.Modes)
	o.Temperature = 0
	rng := rand.New(rand.NewPCG(o.Order, 1))
	for _, p := range o.Suite.Prompts {
		for _, i := range rng.Perm(len(clients)) {
			c := *clients[i]
			c.opts = o
			row, err := c.measure(ctx, p, Row{Prompt: p.Name, Mode: Greedy, Order: order, Seed: o.Seed})
			if err != nil {
				return fmt.Errorf("bench: %s: %s, greedy: %w", c.target.Name, p.Name, err)
			}
			r.Models[i].Greedy = append(r.Models[i].Greedy, row)
			order++
		}
	}
	return nil
}
