package server

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/runtime"
	"github.com/moeconv/moeconv/runtime/chat"
)

// chatRequest is the body of /v1/chat/completions.
type chatRequest struct {
	sampling
	Messages            json.RawMessage `json:"messages"`
	Tools               json.RawMessage `json:"tools,omitempty"`
	ToolChoice          json.RawMessage `json:"tool_choice,omitempty"`
	ResponseFormat      json.RawMessage `json:"response_format,omitempty"`
	MaxCompletionTokens *int            `json:"max_completion_tokens,omitempty"`
	Logprobs            bool            `json:"logprobs,omitempty"`
	TopLogprobs         *int            `json:"top_logprobs,omitempty"`
	ChatTemplate        string          `json:"chat_template,omitempty"` // a template's name
	Variables           json.RawMessage `json:"chat_template_kwargs,omitempty"`
	ReasoningEffort     json.RawMessage `json:"reasoning_effort,omitempty"` // a variable of templates that know it

	// What would change the answer and cannot be done; further fields say nothing of it and are left alone.
	Functions    json.RawMessage `json:"functions,omitempty"`
	FunctionCall json.RawMessage `json:"function_call,omitempty"`
	Modalities   []string        `json:"modalities,omitempty"`
	Audio        json.RawMessage `json:"audio,omitempty"`
}

// chatResponse is a response, or with deltas one event of a stream.
type chatResponse struct {
	ID      string       `json:"id"`
	Object  string       `json:"object"`
	Created int64        `json:"created"`
	Model   string       `json:"model"`
	Choices []chatChoice `json:"choices"`
	Usage   any          `json:"usage,omitempty"`

	PromptTokenIDs []int32 `json:"prompt_token_ids,omitempty"` // of a stream in the first event
}

type chatChoice struct {
	Index        int           `json:"index"`
	Message      *chatMessage  `json:"message,omitempty"`
	Delta        *chatMessage  `json:"delta,omitempty"`
	Logprobs     *chatLogprobs `json:"logprobs"`
	FinishReason *string       `json:"finish_reason"`
	TokenIDs     []int32       `json:"token_ids,omitempty"`
	Time         int64         `json:"t_ns,omitempty"` // with the ids of a stream: when the token was drawn, since the generation began
}

// chatMessage is an answer, or what is added to it. Content is null in an answer that only calls tools.
type chatMessage struct {
	Role      string     `json:"role,omitempty"`
	Content   *string    `json:"content"`
	Reasoning string     `json:"reasoning_content,omitempty"`
	Calls     []toolCall `json:"tool_calls,omitempty"`
}

type chatLogprobs struct {
	Content []tokenLogprob `json:"content"`
}

// tokenLogprob is a token's probability.
type tokenLogprob struct {
	Token   string         `json:"token"`
	Logprob float64        `json:"logprob"`
	Bytes   []int          `json:"bytes"`
	Top     []tokenLogprob `json:"top_logprobs,omitzero"`
}

func (q *chatRequest) generation() (runtime.GenerateOptions, error) {
	if n := q.MaxCompletionTokens; n != nil {
		if q.MaxTokens = n; *n < 1 {
			return runtime.GenerateOptions{}, badParam("max_completion_tokens", "Invalid 'max_completion_tokens': %d, want 1 or more.", *n)
		}
	}
	opts, err := q.sampling.generation()
	if err != nil {
		return opts, err
	}
	opts.Logprobs = q.Logprobs
	if q.TopLogprobs != nil {
		opts.Top = *q.TopLogprobs
		if !q.Logprobs || opts.Top < 0 || opts.Top > maxTop {
			return opts, badParam("top_logprobs", "Invalid 'top_logprobs': want 0 to %d, with 'logprobs' true.", maxTop)
		}
	}
	var format struct {
		Type string `json:"type"`
	}
	if !absent(q.ResponseFormat) && (json.Unmarshal(q.ResponseFormat, &format) != nil || format.Type != "text") {
		return opts, refuse(http.StatusBadRequest, invalidRequest, "response_format", "unsupported_parameter", "Unsupported 'response_format': only {\"type\": \"text\"} is possible.")
	}
	return opts, q.unsupported()
}

// unsupported refuses what is not null and cannot be done.
func (q *chatRequest) unsupported() error {
	for _, f := range []struct {
		param string
		given bool
		hint  string
	}{
		{"functions", !absent(q.Functions), "; 'tools' has taken its place"},
		{"function_call", !absent(q.FunctionCall), "; 'tool_choice' has taken its place"},
		{"modalities", slices.ContainsFunc(q.Modalities, func(m string) bool { return m != "text" }), ": only text is possible"},
		{"audio", !absent(q.Audio), ": only text is possible"},
	} {
		if f.given {
			return refuse(http.StatusBadRequest, invalidRequest, f.param, "unsupported_parameter", "Unsupported parameter: '%s'%s.", f.param, f.hint)
		}
	}
	return nil
}

// absent reports a parameter that is missing or null.
func absent(data json.RawMessage) bool { return len(data) == 0 || string(data) == "null" }

// tools are those that the template shall see.
func (q *chatRequest) tools() (json.RawMessage, error) {
	var choice string
	switch {
	case absent(q.ToolChoice) || json.Unmarshal(q.ToolChoice, &choice) == nil && choice == "auto":
	case choice == "none":
		return nil, nil
	default:
		return nil, refuse(http.StatusBadRequest, invalidRequest, "tool_choice", "unsupported_parameter", "Unsupported 'tool_choice': %s; 'auto' and 'none' are possible.", q.ToolChoice)
	}
	if absent(q.Tools) || string(q.Tools) == "[]" {
		return nil, nil
	}
	return q.Tools, nil
}

// variables are those that the template shall have besides the conversation.
func (q *chatRequest) variables() ([]byte, error) {
	vars := map[string]json.RawMessage{}
	if !absent(q.Variables) && json.Unmarshal(q.Variables, &vars) != nil {
		return nil, badParam("chat_template_kwargs", "Invalid 'chat_template_kwargs': want an object.")
	}
	if _, ok := vars["reasoning_effort"]; !ok && !absent(q.ReasoningEffort) {
		vars["reasoning_effort"] = q.ReasoningEffort
	}
	return json.Marshal(vars)
}

// prompt is the conversation as ids, by the model's template.
func (s *Server) prompt(ctx context.Context, q *chatRequest, opts *runtime.GenerateOptions) ([]int32, *answers, error) {
	if absent(q.Messages) {
		return nil, nil, missing("messages")
	}
	var list []json.RawMessage
	if json.Unmarshal(q.Messages, &list) != nil || len(list) == 0 {
		return nil, nil, badParam("messages", "Invalid 'messages': want a list of at least one message.")
	}
	tools, err := q.tools()
	if err != nil {
		return nil, nil, err
	}
	tmpl, err := s.model.ChatTemplate(q.ChatTemplate, tools != nil)
	var unsupported *gguf.UnsupportedError
	switch {
	case errors.As(err, &unsupported):
		return nil, nil, err
	case err != nil:
		return nil, nil, badParam("chat_template", "%v", err)
	}
	opts.Stop = append(opts.Stop, tmpl.Stop...)
	in := chat.Input{Messages: q.Messages, API: true, Tools: tools, AddGenerationPrompt: true}
	if in.Extra, err = q.variables(); err != nil {
		return nil, nil, err
	}
	text, err := tmpl.Render(ctx, in)
	var ids []int32
	if err == nil {
		ids, err = tmpl.Encode(text)
	}
	var raised *chat.RaisedError
	if err != nil && ctx.Err() == nil && !errors.As(err, &raised) {
		return nil, nil, badParam("messages", "%v", err)
	}
	opts.Show = tmpl.Answers.Markers()
	return ids, newAnswers(tmpl.Answers, text, tools), err
}

func (s *Server) chatCompletions(r *http.Request, out *response) error {
	var q chatRequest
	if err := s.read(r, out, &q); err != nil {
		return err
	}
	if err := s.checkModel(q.Model); err != nil {
		return err
	}
	opts, err := q.generation()
	if err != nil {
		return err
	}
	ids, parts, err := s.prompt(r.Context(), &q, &opts)
	if err != nil {
		return err
	}
	var usage Usage
	prompts := [][]int32{ids}
	doc := chatResponse{ID: newID("chatcmpl-"), Object: "chat.completion", Created: time.Now().Unix(), Model: s.opts.Name}
	if q.ReturnTokenIDs {
		doc.PromptTokenIDs = ids
	}
	if q.Stream {
		return s.streamChat(r.Context(), out, &q, prompts, parts, opts, doc)
	}
	choices, err := s.run(r.Context(), "messages", prompts, &q.sampling, opts, &usage, nil)
	if err != nil {
		return err
	}
	for _, c := range choices {
		m, reason := parts.message(c)
		cc := chatChoice{Index: c.index, Message: m, FinishReason: reason}
		if opts.Logprobs {
			cc.Logprobs = s.chatLogprobs(c.tokens)
		}
		if q.ReturnTokenIDs {
			cc.TokenIDs = idsOf(c.tokens)
		}
		doc.Choices = append(doc.Choices, cc)
	}
	doc.Usage = usage
	return out.json(doc)
}

// streamChat sends one event a token; the first brings the role, the last the reason.
func (s *Server) streamChat(ctx context.Context, out *response, q *chatRequest, prompts [][]int32, parts *answers, opts runtime.GenerateOptions, doc chatResponse) error {
	doc.Object = "chat.completion.chunk"
	if q.StreamOptions.usage() {
		doc.Usage = json.RawMessage("null")
	}
	each := func(index int, t runtime.Token) any {
		m, reason := parts.delta(index, t)
		cc := chatChoice{Index: index, Delta: m, FinishReason: reason}
		if opts.Logprobs {
			cc.Logprobs = s.chatLogprobs([]runtime.Token{t})
		}
		if q.ReturnTokenIDs {
			cc.TokenIDs, cc.Time = []int32{t.ID}, t.Time.Nanoseconds()
		}
		event := doc
		doc.PromptTokenIDs, event.Choices = nil, []chatChoice{cc}
		return event
	}
	last := func(u Usage) any {
		doc.Choices, doc.Usage = []chatChoice{}, u
		return doc
	}
	return s.stream(ctx, out, "messages", prompts, &q.sampling, opts, each, last)
}

// chatLogprobs leaves out the token that ends an answer and is no part of it.
func (s *Server) chatLogprobs(tokens []runtime.Token) *chatLogprobs {
	out := &chatLogprobs{Content: []tokenLogprob{}}
	for _, t := range tokens {
		if t.Reason == runtime.ReasonEOG {
			continue
		}
		p := s.logprob(t.ID, t.Logprob)
		for _, top := range t.Top {
			p.Top = append(p.Top, s.logprob(top.ID, top.Logprob))
		}
		if p.Top == nil {
			p.Top = []tokenLogprob{}
		}
		out.Content = append(out.Content, p)
	}
	return out
}

// leastLogprob stands for probability zero, which JSON cannot write.
const leastLogprob = -9999

func (s *Server) logprob(id int32, p float64) tokenLogprob {
	piece := s.tok.Piece(id)
	return tokenLogprob{Token: string(piece), Logprob: max(p, leastLogprob), Bytes: numbers(piece)}
}

func newID(prefix string) string { return prefix + rand.Text() }
