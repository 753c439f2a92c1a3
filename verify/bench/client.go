package bench

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// client asks a target, and looks at the clock.
type client struct {
	target Target
	opts   Options
	http   http.Client
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

// answer collects what comes of an answer.
type answer struct {
	trace
	start time.Time
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
	a := &answer{trace: trace{Model: c.target.Name, Prompt: row.Prompt, Mode: row.Mode, Run: row.Run, Order: row.Order, Seed: row.Seed}, start: time.Now()}
	busy := processCPU()
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
		err = a.stream(resp.Body)
	} else {
		err = a.whole(resp.Body)
	}
	if err != nil {
		return row, fmt.Errorf("%s: %w", path, err)
	}
	if c.target.Load != nil { // it is in this process
		a.CPU = (processCPU() - busy).Nanoseconds()
	}
	if c.opts.Trace != nil {
		if err := json.NewEncoder(c.opts.Trace).Encode(a.trace); err != nil {
			return row, err
		}
	}
	return a.row(c.target.Count)
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

func (a *answer) whole(r io.Reader) error {
	data, err := io.ReadAll(io.LimitReader(r, maxAnswer))
	a.Total = time.Since(a.start).Nanoseconds()
	if err != nil {
		return err
	}
	return a.take(data, a.Total)
}

func (a *answer) stream(r io.Reader) error {
	scan := bufio.NewScanner(r)
	scan.Buffer(nil, maxAnswer)
	for scan.Scan() {
		now := time.Since(a.start).Nanoseconds()
		data, ok := strings.CutPrefix(scan.Text(), "data:")
		data = strings.TrimSpace(data)
		if !ok || data == "" {
			continue
		}
		a.Total = now
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
	if a.Finish == "" {
		return io.ErrUnexpectedEOF
	}
	return nil
}

// take reads a document that came at a time, in nanoseconds.
func (a *answer) take(data []byte, at int64) error {
	var d document
	if err := json.Unmarshal(data, &d); err != nil {
		return err
	}
	if d.Error != nil {
		return errors.New(d.Error.Message)
	}
	if u := d.Usage; u != nil {
		a.Usage = &usage{Prompt: u.Prompt, Completion: u.Completion}
		if u.Details != nil {
			a.Usage.Cached = &u.Details.Cached
		}
	}
	a.PromptIDs += len(d.PromptIDs)
	for _, c := range d.Choices {
		text := c.Text
		for _, part := range []*string{c.Message.Reasoning, c.Message.Content, c.Delta.Reasoning, c.Delta.Content} {
			if part != nil {
				text += *part
			}
		}
		if c.Reason != nil {
			a.Finish = *c.Reason
		}
		a.PromptIDs += len(c.PromptIDs)
		if text != "" || len(c.IDs) > 0 {
			a.Events = append(a.Events, event{at, c.Time, text, c.IDs})
		}
	}
	return nil
}
