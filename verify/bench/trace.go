package bench

import (
	"math"
	"slices"
	"strings"
)

// trace is a line of the trace file: all that was seen of one request. A row follows from it alone.
type trace struct {
	Model     string  `json:"model"`
	Prompt    string  `json:"prompt"`
	Mode      string  `json:"mode"`
	Run       int     `json:"run"`
	Order     int     `json:"order"`
	Seed      uint64  `json:"seed"`
	Total     int64   `json:"total_ns"`
	CPU       int64   `json:"cpu_ns,omitempty"` // of this process meanwhile, where the model is in it
	Finish    string  `json:"finish_reason"`
	Usage     *usage  `json:"usage"`      // as the server counts; null: it does not
	PromptIDs int     `json:"prompt_ids"` // how many ids of the prompt came
	Events    []event `json:"events"`
}

// usage is what a server says of the tokens of a request.
type usage struct {
	Prompt     int  `json:"prompt_tokens"`
	Completion int  `json:"completion_tokens"`
	Cached     *int `json:"cached_tokens"` // null: it does not say
}

// event is a part of an answer, and when it came.
type event struct {
	Time  int64  `json:"t_ns"`               // since the request was sent
	Drawn int64  `json:"drawn_ns,omitempty"` // by the server's clock, since it began with the request; 0: it does not say
	Text  string `json:"text"`
	IDs   []int  `json:"ids,omitempty"`
}

// row counts the tokens and derives the figures that were observed. count is the number of a text's tokens, nil where
// no tokenizer is known.
func (t *trace) row(count func(string) (int, error)) (Row, error) {
	row := Row{Prompt: t.Prompt, Mode: t.Mode, Run: t.Run, Order: t.Order, Seed: t.Seed, Finish: t.Finish, Total: float64(t.Total) / 1e9}
	var text strings.Builder
	for _, e := range t.Events {
		text.WriteString(e.Text)
		row.IDs = append(row.IDs, e.IDs...)
	}
	row.Text = text.String()
	row.judge()
	if t.CPU > 0 {
		cpu := float64(t.CPU) / 1e9
		row.CPU = &cpu
	}
	if err := row.count(t, count); err != nil {
		return row, err
	}
	if row.Tokens != nil {
		row.Overall = over(*row.Tokens, row.Total)
	}
	if row.Mode != Streaming {
		return row, nil
	}
	return row, row.stream(t)
}

// stream derives the figures of an answer that came in parts.
func (row *Row) stream(t *trace) error {
	chunks := len(t.Events)
	row.Chunks = &chunks
	if chunks == 0 {
		return implausible("the stream has no part of an answer")
	}
	events, clock := t.clock()
	row.Clock = clock
	first, last := events[0], events[chunks-1]
	ttft := float64(first.Time) / 1e9
	row.TTFT = &ttft
	if row.PromptTokens != nil {
		row.Prefill = over(*row.PromptTokens-row.cached(), ttft)
	}
	perChunk := 1 // tokens of the first event, which the time to the first token covers
	if len(first.IDs) > 0 {
		perChunk = len(first.IDs)
	}
	if row.Tokens != nil && chunks > 1 && *row.Tokens > perChunk {
		row.Decode = over(*row.Tokens-perChunk, float64(last.Time-first.Time)/1e9)
	}
	// The token that ends an answer may have no event. Else gaps between events are not gaps between tokens.
	if row.Tokens == nil || *row.Tokens != chunks && *row.Tokens != chunks+1 {
		return nil
	}
	var gaps []float64
	for i := 1; i < chunks; i++ {
		gaps = append(gaps, float64(events[i].Time-events[i-1].Time)/1e9)
	}
	if len(gaps) > 0 {
		slices.Sort(gaps)
		p50, p95 := quantile(gaps, 0.5), quantile(gaps, 0.95)
		row.P50, row.P95 = &p50, &p95
	}
	row.Drift = drift(events)
	return nil
}

// clock says whose clock the events' times are of. Where the server says when it drew each token, that counts: on a busy
// machine several events wait until they are read together. The two clocks differ by no more than the shortest way of an
// event, and that much is added.
func (t *trace) clock() (events []event, clock string) {
	way := int64(math.MaxInt64)
	for i, e := range t.Events {
		if e.Drawn <= 0 || i > 0 && e.Drawn < t.Events[i-1].Drawn {
			return t.Events, "client"
		}
		way = min(way, e.Time-e.Drawn)
	}
	events = slices.Clone(t.Events)
	for i := range events {
		events[i].Time = events[i].Drawn + max(way, 0)
	}
	return events, "server"
}

// drift compares the first and the last quarter of events; nil for too few of them.
func drift(events []event) *float64 {
	quarter := len(events) / 4
	if quarter < 4 {
		return nil
	}
	took := func(from, to int) float64 { return float64(events[to].Time - events[from].Time) }
	first, last := took(0, quarter), took(len(events)-1-quarter, len(events)-1)
	if first <= 0 || last <= 0 {
		return nil
	}
	v := first / last
	return &v
}

// count sets the numbers of tokens: as the server says, checked against ids where it sends them and against its chunks.
// A server without a usage is counted by the model's tokenizer, if that is known, and never guessed at.
func (row *Row) count(t *trace, count func(string) (int, error)) error {
	row.Counter = "none"
	if u := t.Usage; u != nil {
		row.PromptTokens, row.Tokens, row.CachedTokens, row.Counter = &u.Prompt, &u.Completion, u.Cached, "usage"
	}
	if n := len(row.IDs); n > 0 {
		if row.Tokens != nil && *row.Tokens != n {
			return implausible("the usage says %d tokens, %d ids came", *row.Tokens, n)
		}
		row.Tokens, row.Counter = &n, "token_ids"
	}
	if n := t.PromptIDs; n > 0 && row.PromptTokens != nil && *row.PromptTokens != n {
		return implausible("the usage says %d tokens of the prompt, it has %d ids", *row.PromptTokens, n)
	}
	if row.Tokens == nil && count != nil {
		n, err := count(row.Text)
		if err != nil {
			return err
		}
		row.Tokens, row.Counter = &n, "tokenizer"
	}
	if row.Counter == "usage" && row.Mode == Streaming && *row.Tokens < len(t.Events) {
		return implausible("the usage says %d tokens, the stream has %d parts", *row.Tokens, len(t.Events))
	}
	return nil
}

// cached is the tokens of the prompt that the server did not have to evaluate, as far as it says so.
func (r *Row) cached() int {
	if r.CachedTokens == nil {
		return 0
	}
	return *r.CachedTokens
}

// over is n a second; nil where nothing was done or no time passed.
func over(n int, seconds float64) *float64 {
	if n <= 0 || seconds <= 0 {
		return nil
	}
	v := float64(n) / seconds
	return &v
}
