package bench

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"slices"
	"strings"
	"time"
)

// client asks a target, and looks at the clock.
type client struct {
	target Target
	opts   Options
	http   http.Client
}

// event is a part of an answer, and when it came.
type event struct {
	Time  int64  `json:"t_ns"`               // since the request was sent
	Drawn int64  `json:"drawn_ns,omitempty"` // by the server's clock, since it began with the request; 0: it does not say
	Text  string `json:"text"`
	IDs   []int  `json:"ids,omitempty"`
}

// trace is a line of the trace file.
type trace struct {
	Model  string  `json:"model"`
	Prompt string  `json:"prompt"`
	Mode   string  `json:"mode"`
	Run    int     `json:"run"`
	Order  int     `json:"order"`
	Seed   uint64  `json:"seed"`
	Events []event `json:"events"`
}

// document is a response, or one event of a stream, of either API.
type document struct {
	PromptIDs []int `json:"prompt_token_ids"`
	Choices   []struct {
		Text           string
		Message, Delta struct {
			Content   *string
			Reasoning *string `json:"reasoning_content"`
			Calls     json.RawMessage
		}
		Reason    *string `json:"finish_reason"`
		IDs       []int   `json:"token_ids"`
		PromptIDs []int   `json:"prompt_token_ids"`
		Time      int64   `json:"t_ns"`
	}
	Usage *struct {
		Prompt     int `json:"prompt_tokens"`
		Completion int `json:"completion_tokens"`
		Details    *struct {
			Cached int `json:"cached_tokens"`
		} `json:"prompt_tokens_details"`
	}
	Error *struct{ Message string }
}

// answer is what is known of an answer.
type answer struct {
	events    []event
	text      strings.Builder
	ids       []int
	promptIDs []int
	finish    string
	usage     *document
	total     time.Duration
}

// measure makes one request and fills in row.
func (c *client) measure(ctx context.Context, p Prompt, row Row) (Row, error) {
	body, path := c.body(p, row)
	data, err := json.Marshal(body)
	if err != nil {
		return row, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(strings.TrimSuffix(c.target.URL, "/"), "/v1")+path, bytes.NewReader(data))
	if err != nil {
		return row, err
	}
	r.Header.Set("Content-Type", "application/json")
	if c.target.Key != "" {
		r.Header.Set("Authorization", "Bearer "+c.target.Key)
	}
	a := &answer{}
	start := time.Now()
	resp, err := c.http.Do(r)
	if err != nil {
		return row, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<16))
		return row, fmt.Errorf("%s: %s: %.300s", path, resp.Status, bytes.TrimSpace(text))
	}
	if row.Mode == Streaming {
		err = a.stream(resp.Body, start)
	} else {
		err = a.whole(resp.Body, start)
	}
	if err != nil {
		return row, fmt.Errorf("%s: %w", path, err)
	}
	if err := c.trace(row, a); err != nil {
		return row, err
	}
	return row, c.fill(&row, a)
}

func (c *client) body(p Prompt, row Row) (body map[string]any, path string) {
	body = map[string]any{"model": c.target.Model, "max_tokens": p.most(c.opts), "temperature": c.opts.Temperature, "seed": row.Seed}
	if row.Mode == Streaming {
		body["stream"], body["stream_options"] = true, map[string]bool{"include_usage": true}
	}
	for name, value := range c.target.Extra {
		body[name] = value
	}
	if c.opts.Chat {
		body["messages"] = []map[string]string{{"role": "user", "content": p.Text}}
		return body, "/v1/chat/completions"
	}
	body["prompt"] = p.Text
	return body, "/v1/completions"
}

// maxAnswer bounds a response, and a line of a stream, in bytes.
const maxAnswer = 16 << 20

func (a *answer) whole(r io.Reader, start time.Time) error {
	data, err := io.ReadAll(io.LimitReader(r, maxAnswer))
	a.total = time.Since(start)
	if err != nil {
		return err
	}
	return a.take(data, a.total)
}

func (a *answer) stream(r io.Reader, start time.Time) error {
	scan := bufio.NewScanner(r)
	scan.Buffer(nil, maxAnswer)
	for scan.Scan() {
		now := time.Since(start)
		data, ok := strings.CutPrefix(scan.Text(), "data:")
		data = strings.TrimSpace(data)
		if !ok || data == "" {
			continue
		}
		a.total = now
		if data == "[DONE]" {
			return nil
		}
		if err := a.take([]byte(data), now); err != nil {
			return err
		}
	}
	if scan.Err() != nil {
		return scan.Err()
	}
	if a.finish == "" {
		return io.ErrUnexpectedEOF
	}
	return nil
}

// take reads a document that came at a time.
func (a *answer) take(data []byte, at time.Duration) error {
	var d document
	if err := json.Unmarshal(data, &d); err != nil {
		return err
	}
	if d.Error != nil {
		return errors.New(d.Error.Message)
	}
	if d.Usage != nil {
		a.usage = &d
	}
	a.promptIDs = append(a.promptIDs, d.PromptIDs...)
	for _, c := range d.Choices {
		text := c.Text
		for _, part := range []*string{c.Message.Reasoning, c.Message.Content, c.Delta.Reasoning, c.Delta.Content} {
			if part != nil {
				text += *part
			}
		}
		if c.Reason != nil {
			a.finish = *c.Reason
		}
		a.ids, a.promptIDs = append(a.ids, c.IDs...), append(a.promptIDs, c.PromptIDs...)
		if text != "" || len(c.IDs) > 0 {
			a.text.WriteString(text)
			a.events = append(a.events, event{at.Nanoseconds(), c.Time, text, c.IDs})
		}
	}
	return nil
}

func (c *client) trace(row Row, a *answer) error {
	if c.opts.Trace == nil {
		return nil
	}
	return json.NewEncoder(c.opts.Trace).Encode(trace{c.target.Name, row.Prompt, row.Mode, row.Run, row.Order, row.Seed, a.events})
}

// fill counts the tokens and derives the figures that were observed.
func (c *client) fill(row *Row, a *answer) error {
	row.Text, row.IDs, row.Finish, row.Total = a.text.String(), a.ids, a.finish, a.total.Seconds()
	row.judge()
	if err := c.count(row, a); err != nil {
		return err
	}
	if row.Tokens != nil {
		row.Overall = over(*row.Tokens, row.Total)
	}
	if row.Mode != Streaming {
		return nil
	}
	chunks := len(a.events)
	row.Chunks = &chunks
	if chunks == 0 {
		return implausible("the stream has no part of an answer")
	}
	row.Clock = a.clock()
	first, last := a.events[0], a.events[chunks-1]
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
		gaps = append(gaps, float64(a.events[i].Time-a.events[i-1].Time)/1e9)
	}
	if len(gaps) > 0 {
		slices.Sort(gaps)
		p50, p95 := quantile(gaps, 0.5), quantile(gaps, 0.95)
		row.P50, row.P95 = &p50, &p95
	}
	row.Drift = drift(a.events)
	return nil
}

// clock says whose clock the events' times are of. Where the server says when it drew each token, that counts: on a busy
// machine several events wait until they are read together. The two clocks differ by no more than the shortest way of an
// event, and that much is added.
func (a *answer) clock() string {
	way := int64(math.MaxInt64)
	for i, e := range a.events {
		if e.Drawn <= 0 || i > 0 && e.Drawn < a.events[i-1].Drawn {
			return "client"
		}
		way = min(way, e.Time-e.Drawn)
	}
	for i := range a.events {
		a.events[i].Time = a.events[i].Drawn + max(way, 0)
	}
	return "server"
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

// most is the most tokens that an answer may have.
func (p Prompt) most(o Options) int {
	if p.MaxTokens > 0 {
		return p.MaxTokens
	}
	return o.MaxTokens
}

// count sets the numbers of tokens: as the server says, checked against ids where it sends them and against its chunks.
// A server without a usage is counted by the model's tokenizer, if that is known, and never guessed at.
func (c *client) count(row *Row, a *answer) error {
	row.Counter = "none"
	if u := a.usage; u != nil {
		row.PromptTokens, row.Tokens, row.Counter = &u.Usage.Prompt, &u.Usage.Completion, "usage"
		if u.Usage.Details != nil {
			row.CachedTokens = &u.Usage.Details.Cached
		}
	}
	if len(a.ids) > 0 {
		n := len(a.ids)
		if row.Tokens != nil && *row.Tokens != n {
			return implausible("the usage says %d tokens, %d ids came", *row.Tokens, n)
		}
		row.Tokens, row.Counter = &n, "token_ids"
	}
	if n := len(a.promptIDs); n > 0 && row.PromptTokens != nil && *row.PromptTokens != n {
		return implausible("the usage says %d tokens of the prompt, it has %d ids", *row.PromptTokens, n)
	}
	if row.Tokens == nil && c.target.Count != nil {
		n, err := c.target.Count(row.Text)
		if err != nil {
			return err
		}
		row.Tokens, row.Counter = &n, "tokenizer"
	}
	if row.Counter == "usage" && row.Mode == Streaming && *row.Tokens < len(a.events) {
		return implausible("the usage says %d tokens, the stream has %d parts", *row.Tokens, len(a.events))
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
