package server

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// Client talks to a server with OpenAI's API: ours, llama-server, ollama, vLLM.
type Client struct {
	base  *url.URL
	key   string
	http  http.Client
	model string
}

// ClientOptions of NewClient.
type ClientOptions struct {
	Model string // empty: the only model the server has
	Key   string // bearer token; may be empty
}

// NewClient is a client of the server at endpoint: its address, with or without /v1 at the end.
func NewClient(endpoint string, opts ClientOptions) (*Client, error) {
	u, err := url.Parse(endpoint)
	if err == nil && (u.Scheme != "http" && u.Scheme != "https" || u.Host == "") {
		err = fmt.Errorf("want http://HOST:PORT or https://HOST")
	}
	if err != nil {
		return nil, fmt.Errorf("server: endpoint %q: %w", endpoint, err)
	}
	u.Path = strings.TrimSuffix(strings.TrimSuffix(u.Path, "/"), "/v1")
	return &Client{base: u, key: opts.Key, model: opts.Model}, nil
}

// Request is a generation asked of a server. Nil fields leave the choice to the server.
type Request struct {
	Prompt   string          // a text to continue, or else
	Messages json.RawMessage // a conversation to answer
	Tools    json.RawMessage
	Template json.RawMessage // variables of the chat template

	MaxTokens        int // 0: the server's choice
	Stop             []string
	Temperature      *float64
	TopP             *float64
	Seed             *uint64
	FrequencyPenalty float64
	PresencePenalty  float64
}

// Answer is what a server generated.
type Answer struct {
	Model  string
	Text   string
	Reason string // "stop", "length", ...
	Usage  Usage  // zero where the server does not say
}

// Model is the model that requests name.
func (c *Client) Model(ctx context.Context) (string, error) {
	if c.model != "" {
		return c.model, nil
	}
	r, err := c.do(ctx, http.MethodGet, "/v1/models", nil)
	if err != nil {
		return "", err
	}
	defer r.Body.Close()
	var list struct {
		Data []struct {
			ID string `json:"id"`
		} `json:"data"`
	}
	if err := json.NewDecoder(io.LimitReader(r.Body, maxAnswer)).Decode(&list); err != nil {
		return "", fmt.Errorf("server: %s/v1/models: %w", c.base, err)
	}
	if len(list.Data) != 1 {
		var ids []string
		for _, m := range list.Data {
			ids = append(ids, m.ID)
		}
		return "", &ModelChoiceError{c.base.String(), ids}
	}
	c.model = list.Data[0].ID
	return c.model, nil
}

// ModelChoiceError says that a server has not one model but several, or none.
type ModelChoiceError struct {
	Endpoint string
	IDs      []string
}

func (e *ModelChoiceError) Error() string {
	return fmt.Sprintf("server: %s has %d models (%s)", e.Endpoint, len(e.IDs), strings.Join(e.IDs, ", "))
}

// Hint is the next step for a user.
func (e *ModelChoiceError) Hint() string { return "--endpoint-model names one" }

// maxAnswer bounds a response's, or an event's, size in bytes.
const maxAnswer = 64 << 20

// Generate streams the answer to emit, which may be nil. When it fails, or ctx ends, the Answer holds what came until then.
func (c *Client) Generate(ctx context.Context, q Request, emit func(text string)) (Answer, error) {
	model, err := c.Model(ctx)
	if err != nil {
		return Answer{}, err
	}
	path, body := "/v1/completions", q.body(model)
	if q.Messages != nil {
		path = "/v1/chat/completions"
	}
	data, err := json.Marshal(body)
	if err != nil {
		return Answer{}, err
	}
	a := Answer{Model: model}
	r, err := c.do(ctx, http.MethodPost, path, data)
	if err != nil {
		return a, err
	}
	defer r.Body.Close()
	err = a.read(r.Body, emit)
	if err != nil {
		err = fmt.Errorf("server: %s%s: %w", c.base, path, err)
	}
	return a, err
}

func (q *Request) body(model string) map[string]any {
	body := map[string]any{"model": model, "stream": true, "stream_options": map[string]bool{"include_usage": true}}
	if q.Messages != nil {
		body["messages"] = q.Messages
	} else {
		body["prompt"] = q.Prompt
	}
	for name, data := range map[string]json.RawMessage{"tools": q.Tools, "chat_template_kwargs": q.Template} {
		if !absent(data) {
			body[name] = data
		}
	}
	if q.MaxTokens > 0 {
		body["max_tokens"] = q.MaxTokens
	}
	if len(q.Stop) > 0 {
		body["stop"] = q.Stop
	}
	if q.Temperature != nil {
		body["temperature"] = *q.Temperature
	}
	if q.TopP != nil {
		body["top_p"] = *q.TopP
	}
	if q.Seed != nil {
		body["seed"] = *q.Seed
	}
	if q.FrequencyPenalty != 0 {
		body["frequency_penalty"] = q.FrequencyPenalty
	}
	if q.PresencePenalty != 0 {
		body["presence_penalty"] = q.PresencePenalty
	}
	return body
}

// do sends a request; a status other than 200 is an *Error.
func (c *Client) do(ctx context.Context, method, path string, body []byte) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, method, c.base.String()+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	if c.key != "" {
		r.Header.Set("Authorization", "Bearer "+c.key)
	}
	resp, err := c.http.Do(r)
	if err != nil {
		return nil, fmt.Errorf("server: %w", err)
	}
	if resp.StatusCode == http.StatusOK {
		return resp, nil
	}
	defer resp.Body.Close()
	data, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	var e errorBody
	if json.Unmarshal(data, &e) != nil || e.Error == nil {
		e.Error = &Error{Message: fmt.Sprintf("%.200s", bytes.TrimSpace(data))}
	}
	e.Error.Status = resp.StatusCode
	return nil, fmt.Errorf("server: %s%s: %s: %w", c.base, path, resp.Status, e.Error)
}

// read takes the events of a stream; one that ends early is an error.
func (a *Answer) read(r io.Reader, emit func(string)) error {
	scan := bufio.NewScanner(r)
	scan.Buffer(nil, maxAnswer)
	for scan.Scan() {
		data, ok := strings.CutPrefix(scan.Text(), "data:")
		data = strings.TrimSpace(data)
		if !ok || data == "" {
			continue
		}
		if data == "[DONE]" {
			return nil
		}
		if err := a.event([]byte(data), emit); err != nil {
			return err
		}
	}
	if scan.Err() != nil {
		return scan.Err()
	}
	if a.Reason == "" {
		return io.ErrUnexpectedEOF
	}
	return nil
}

func (a *Answer) event(data []byte, emit func(string)) error {
	var e struct {
		Choices []struct {
			Text  string `json:"text"`
			Delta struct {
				Content *string `json:"content"`
			} `json:"delta"`
			Reason *string `json:"finish_reason"`
		} `json:"choices"`
		Usage *Usage `json:"usage"`
		Error *Error `json:"error"`
	}
	if err := json.Unmarshal(data, &e); err != nil {
		return err
	}
	if e.Error != nil {
		return e.Error
	}
	if e.Usage != nil {
		a.Usage = *e.Usage
	}
	for _, c := range e.Choices {
		text := c.Text
		if c.Delta.Content != nil {
			text += *c.Delta.Content
		}
		a.Text += text
		if emit != nil && text != "" {
			emit(text)
		}
		if c.Reason != nil {
			a.Reason = *c.Reason
		}
	}
	return nil
}
