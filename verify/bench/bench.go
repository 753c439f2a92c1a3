// Package bench measures how fast models answer: the same prompts, streamed and not, several times, through servers with
// OpenAI's API. A figure is either observed or not there: nothing is derived from a share of something else.
package bench

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/moeconv/moeconv/runtime/offload"
)

// LeastRuns is the fewest runs that give a mean with an interval.
const LeastRuns = 3

// Options of Run.
type Options struct {
	Runs        int     `json:"runs"`       // of each cell
	MaxTokens   int     `json:"max_tokens"` // of prompts that have no number of their own
	Temperature float64 `json:"temperature"`
	Seed        uint64  `json:"seed"` // of the first run; of each other one more
	Order       uint64  `json:"order_seed"`
	Chat        bool    `json:"chat"` // prompts are messages, not texts to continue
	Suite       *Suite  `json:"-"`
	Pause       float64 `json:"pause_s"` // between requests

	Trace    io.Writer           `json:"-"` // a line of JSON with all events of each request; may be nil
	Progress func(done, all int) `json:"-"`
}

// Target is a model at a server.
type Target struct {
	Name  string         // of the model, in the report
	URL   string         // of the server
	Model string         // its name there
	Key   string         // bearer token; may be empty
	Extra map[string]any // more fields of each request
	// Place is the flags that placed its tensors, where placements are compared, and Placed what came of them; nil of an endpoint.
	Place  string
	Placed *Placed
	// Load is how many seconds it took to load the model into this process; nil of a server elsewhere.
	Load *float64
	// Memory is measured when the model has answered; nil where it cannot be.
	Memory func() ([]Figure, error)
	// Offload is what streaming experts has cost since the model was loaded; nil where it is not known, or they are in memory.
	Offload func() *offload.Stats
	// Count is the number of tokens of a text by the model's tokenizer; nil where that is not known.
	Count func(text string) (int, error)
}

// Report is what Run found.
type Report struct {
	Options Options  `json:"options"`
	Started string   `json:"started"` // RFC 3339
	Suite   string   `json:"suite"`
	Prompts []Prompt `json:"prompts"`
	Modes   []string `json:"modes"`
	Models  []Model  `json:"models"`
	// Compared is each further model against the first.
	Compared []Comparison `json:"compared"`
}

// Model is the measurements of one target.
type Model struct {
	Name     string         `json:"name"`
	Endpoint string         `json:"endpoint"`
	Extra    map[string]any `json:"request_fields"` // beside those of the options
	WarmUp   Row            `json:"warm_up"`
	Rows     []Row          `json:"rows"`                // in the order in which they were measured
	Cells    []Cell         `json:"cells"`               // [prompt][mode] of the suite
	Greedy   []Row          `json:"greedy,omitempty"`    // one a prompt, where models are compared in turn
	Place    string         `json:"placement,omitempty"` // the flags that placed its tensors, where placements are compared
	Placed   *Placed        `json:"placed,omitempty"`
	Offload  *offload.Stats `json:"offload,omitempty"` // since the model was loaded
	Same     Agree          `json:"streaming_agreement"`
	Memory   []Figure       `json:"memory"`
	// Success is the share of answers with a score of 3 or more.
	Success float64 `json:"success"`
	// Protocol is the streaming protocol's word on it; null where the suite is another.
	Protocol *Protocol `json:"protocol"`
	// Load is how long the model took to be loaded, and Cores how many cores the process kept busy; null of a server elsewhere.
	Load  *float64 `json:"load_s"`
	Cores *float64 `json:"cores_busy"`
}

// Row is one request.
type Row struct {
	Prompt string `json:"prompt"`
	Mode   string `json:"mode"`
	Run    int    `json:"run"`
	Order  int    `json:"order"`
	Seed   uint64 `json:"seed"`

	PromptTokens *int   `json:"prompt_tokens"`     // null: the server does not say
	CachedTokens *int   `json:"cached_tokens"`     // of these, not evaluated; null: the server does not say
	Tokens       *int   `json:"completion_tokens"` // the one that ends the answer included, if the server counts it
	Counter      string `json:"counter"`           // who counted: token_ids, usage, tokenizer (the text's tokens), or none
	Chunks       *int   `json:"chunks"`            // events with a part of the answer; null where not streamed
	Clock        string `json:"clock,omitempty"`   // of a stream: server, when each token was drawn; client, when it came
	Finish       string `json:"finish_reason"`
	Text         string `json:"text"`
	IDs          []int  `json:"token_ids,omitempty"`

	TTFT    *float64 `json:"ttft_s"` // to the first event with a part of the answer; null where not streamed
	Total   float64  `json:"total_s"`
	CPU     *float64 `json:"cpu_s"`         // that this process took meanwhile, its server included; null of one elsewhere
	Prefill *float64 `json:"prefill_tok_s"` // tokens of the prompt that were evaluated over ttft_s
	Decode  *float64 `json:"decode_tok_s"`  // tokens after those of the first event over the time from it to the last
	Overall *float64 `json:"overall_tok_s"` // tokens over total_s
	P50     *float64 `json:"inter_token_p50_s"`
	P95     *float64 `json:"inter_token_p95_s"`
	Drift   *float64 `json:"speed_drift"` // speed of the last quarter of the tokens over that of the first

	Repetition float64 `json:"repetition"` // share of 3-grams of words that repeat earlier ones
	Score      int     `json:"score"`      // 5 for an answer, 2 less if it repeats itself or is very short; 1 for none
}

// Run measures the targets: of each a request to warm up, then all runs of all cells in random order. Several targets are
// asked in turn, and at the end each prompt once without sampling; one alone is a run of its own.
// It fails with an *ImplausibleError for data that cannot be.
func Run(ctx context.Context, targets []Target, o Options) (*Report, error) {
	if o.Runs < LeastRuns || o.MaxTokens < 2 {
		return nil, fmt.Errorf("bench: %d runs of %d tokens: want %d or more of 2 or more", o.Runs, o.MaxTokens, LeastRuns)
	}
	r := &Report{Options: o, Started: time.Now().UTC().Format(time.RFC3339), Suite: o.Suite.Name, Prompts: o.Suite.Prompts, Modes: o.Suite.Modes}
	clients := make([]*client, len(targets))
	for i, t := range targets {
		clients[i] = &client{target: t, opts: o}
		m := Model{Name: t.Name, Endpoint: t.URL, Extra: t.Extra, Memory: []Figure{}, Place: t.Place, Placed: t.Placed, Load: t.Load}
		var err error
		if m.WarmUp, err = clients[i].measure(ctx, warmUp, Row{Prompt: warmUp.Name, Mode: Streaming, Run: -1, Order: -1, Seed: o.Seed}); err != nil {
			return nil, fmt.Errorf("bench: %s: to warm up: %w", t.Name, err)
		}
		r.Models = append(r.Models, m)
	}
	all := requests(len(targets), o)
	for i, x := range all {
		x.row.Order = i
		if err := pause(ctx, o); err != nil {
			return nil, err
		}
		row, err := clients[x.target].measure(ctx, x.prompt, x.row)
		if err != nil {
			return nil, fmt.Errorf("bench: %s: %s, %s, run %d: %w", targets[x.target].Name, x.row.Prompt, x.row.Mode, x.row.Run, err)
		}
		m := &r.Models[x.target]
		m.Rows = append(m.Rows, row)
		if o.Progress != nil {
			o.Progress(i+1, len(all))
		}
	}
	if len(targets) > 1 {
		if err := r.greedy(ctx, clients, o); err != nil {
			return nil, err
		}
	}
	for i, t := range targets {
		if t.Offload != nil {
			r.Models[i].Offload = t.Offload()
		}
		if err := r.Models[i].finish(t, o); err != nil {
			return nil, fmt.Errorf("bench: %s: %w", t.Name, err)
		}
	}
	r.Compare()
	return r, nil
}

// pause waits between requests.
func pause(ctx context.Context, o Options) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(time.Duration(o.Pause * float64(time.Second))):
		return nil
	}
}

// request is one to be made.
type request struct {
	target int
	prompt Prompt
	row    Row
}

// requests is all of them, in random order. What several targets are asked alike they are asked one after the other, in an
// order that is random, too: the pairs that are compared meet the same disturbances.
func requests(targets int, o Options) []request {
	var alike []request
	for _, p := range o.Suite.Prompts {
		for _, mode := range o.Suite.Modes {
			for run := range o.Runs {
				alike = append(alike, request{0, p, Row{Prompt: p.Name, Mode: mode, Run: run, Seed: o.Seed + uint64(run)}})
			}
		}
	}
	rng := rand.New(rand.NewPCG(o.Order, 0))
	rng.Shuffle(len(alike), func(i, j int) { alike[i], alike[j] = alike[j], alike[i] })
	var all []request
	for _, x := range alike {
		for _, t := range rng.Perm(targets) {
			x.target = t
			all = append(all, x)
		}
	}
	return all
}

// finish checks the rows and sums them up.
func (m *Model) finish(t Target, o Options) (err error) {
	if err := plausible(slices.Concat(m.Rows, m.Greedy), o); err != nil {
		return err
	}
	m.summarise(o.Suite)
	if t.Memory != nil {
		if m.Memory, err = t.Memory(); err != nil {
			return err
		}
	}
	return plausibleMemory(m.Memory)
}
