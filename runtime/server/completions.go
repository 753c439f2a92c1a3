package server

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/moeconv/moeconv/runtime"
	"github.com/moeconv/moeconv/runtime/token"
)

// completionRequest is the body of /v1/completions.
type completionRequest struct {
	sampling
	Prompt   prompts `json:"prompt"`
	Logprobs *int    `json:"logprobs,omitempty"`
	Echo     bool    `json:"echo,omitempty"`
	Suffix   *string `json:"suffix,omitempty"`
	BestOf   *int    `json:"best_of,omitempty"`
}

// prompts are a text, ids, or a list of either.
type prompts []prompt

type prompt struct {
	text string
	ids  []int32 // not nil: instead of a text
}

// UnmarshalJSON takes all forms.
func (p *prompts) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		return nil
	}
	if one, ok := onePrompt(data); ok {
		*p = prompts{one}
		return nil
	}
	var list []json.RawMessage
	if err := json.Unmarshal(data, &list); err != nil {
		return errPrompt
	}
	for _, item := range list {
		one, ok := onePrompt(item)
		if !ok {
			return errPrompt
		}
		*p = append(*p, one)
	}
	return nil
}

var errPrompt = badParam("prompt", "Invalid 'prompt': want a string, a list of strings, of token ids, or of lists of token ids.")

// onePrompt reads a text or a list of ids.
func onePrompt(data []byte) (prompt, bool) {
	var p prompt
	if json.Unmarshal(data, &p.text) == nil {
		return p, true
	}
	return p, json.Unmarshal(data, &p.ids) == nil && len(p.ids) > 0
}

// completionResponse is a response, or one event of a stream.
type completionResponse struct {
	ID      string             `json:"id"`
	Object  string             `json:"object"`
	Created int64              `json:"created"`
	Model   string             `json:"model"`
	Choices []completionChoice `json:"choices"`
	Usage   any                `json:"usage,omitempty"`
}

type completionChoice struct {
	Index        int                 `json:"index"`
	Text         string              `json:"text"`
	Logprobs     *completionLogprobs `json:"logprobs"`
	FinishReason *string             `json:"finish_reason"`

	PromptTokenIDs []int32 `json:"prompt_token_ids,omitempty"` // of a stream in a choice's first event
	TokenIDs       []int32 `json:"token_ids,omitempty"`
	Time           int64   `json:"t_ns,omitempty"` // with the ids of a stream: when the token was drawn, since the generation began
}

type completionLogprobs struct {
	Tokens        []string             `json:"tokens"`
	TokenLogprobs []float64            `json:"token_logprobs"`
	TopLogprobs   []map[string]float64 `json:"top_logprobs"`
	TextOffset    []int                `json:"text_offset"`
}

func (q *completionRequest) generation() (runtime.GenerateOptions, error) {
	opts, err := q.sampling.generation()
	if err != nil {
		return opts, err
	}
	unsupported := func(param string) error {
		return refuse(http.StatusBadRequest, invalidRequest, param, "unsupported_parameter", "Unsupported parameter: '%s'.", param)
	}
	switch {
	case q.Echo:
		return opts, unsupported("echo")
	case q.Suffix != nil && *q.Suffix != "":
		return opts, unsupported("suffix")
	case q.BestOf != nil && *q.BestOf != q.choices():
		return opts, unsupported("best_of")
	case len(q.Prompt) == 0:
		return opts, missing("prompt")
	}
	if q.Logprobs != nil {
		opts.Logprobs, opts.Top = true, *q.Logprobs
		if opts.Top < 0 || opts.Top > maxTop {
			return opts, badParam("logprobs", "Invalid 'logprobs': %d, want 0 to %d.", opts.Top, maxTop)
		}
	}
	return opts, nil
}

// ids are the prompts as ids; texts begin as the model's metadata says.
func (s *Server) ids(list prompts) ([][]int32, error) {
	var out [][]int32
	for _, p := range list {
		ids := p.ids
		if ids == nil {
			var err error
			if ids, err = s.tok.Encode(p.text, token.Options{AddSpecial: true, ParseSpecial: true}); err != nil {
				return nil, badParam("prompt", "%v", err)
			}
		}
		if len(ids) == 0 {
			return nil, badParam("prompt", "Invalid 'prompt': it is empty.")
		}
		if err := s.checkIDs("prompt", ids); err != nil {
			return nil, err
		}
		out = append(out, ids)
	}
	return out, nil
}

func (s *Server) completions(r *http.Request, out *response) error {
	var q completionRequest
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
	ids, err := s.ids(q.Prompt)
	if err != nil {
		return err
	}
	doc := completionResponse{ID: newID("cmpl-"), Object: "text_completion", Created: time.Now().Unix(), Model: s.opts.Name}
	if q.Stream {
		return s.streamCompletions(r.Context(), out, &q, ids, opts, doc)
	}
	var usage Usage
	choices, err := s.run(r.Context(), "prompt", ids, &q.sampling, opts, &usage, nil)
	if err != nil {
		return err
	}
	for _, c := range choices {
		cc := completionChoice{Index: c.index, Text: c.done.Text, FinishReason: reasonOf(c.done.Reason)}
		if opts.Logprobs {
			cc.Logprobs, _ = s.completionLogprobs(c.tokens, 0)
		}
		if q.ReturnTokenIDs {
			cc.PromptTokenIDs, cc.TokenIDs = ids[c.index/q.choices()], idsOf(c.tokens)
		}
		doc.Choices = append(doc.Choices, cc)
	}
	doc.Usage = usage
	return out.json(doc)
}

func (s *Server) streamCompletions(ctx context.Context, out *response, q *completionRequest, ids [][]int32, opts runtime.GenerateOptions, doc completionResponse) error {
	if q.StreamOptions.usage() {
		doc.Usage = json.RawMessage("null")
	}
	offset, begun := map[int]int{}, map[int]bool{} // by choice
	each := func(index int, t runtime.Token) any {
		cc := completionChoice{Index: index, Text: t.Text, FinishReason: reasonOf(t.Reason)}
		if opts.Logprobs {
			cc.Logprobs, offset[index] = s.completionLogprobs([]runtime.Token{t}, offset[index])
		}
		if q.ReturnTokenIDs {
			if cc.TokenIDs, cc.Time = []int32{t.ID}, t.Time.Nanoseconds(); !begun[index] {
				cc.PromptTokenIDs, begun[index] = ids[index/q.choices()], true
			}
		}
		doc.Choices = []completionChoice{cc}
		return doc
	}
	last := func(u Usage) any {
		doc.Choices, doc.Usage = []completionChoice{}, u
		return doc
	}
	return s.stream(ctx, out, "prompt", ids, &q.sampling, opts, each, last)
}

// idsOf is the ids of tokens.
func idsOf(tokens []runtime.Token) []int32 {
	var ids []int32
	for _, t := range tokens {
		ids = append(ids, t.ID)
	}
	return ids
}

// completionLogprobs counts offsets in bytes from offset on, and returns the next one.
func (s *Server) completionLogprobs(tokens []runtime.Token, offset int) (*completionLogprobs, int) {
	out := &completionLogprobs{Tokens: []string{}, TokenLogprobs: []float64{}, TopLogprobs: []map[string]float64{}, TextOffset: []int{}}
	for _, t := range tokens {
		if t.Reason == runtime.ReasonEOG {
			continue
		}
		piece := string(s.tok.Piece(t.ID))
		top := map[string]float64{}
		for _, p := range t.Top {
			top[string(s.tok.Piece(p.ID))] = max(p.Logprob, leastLogprob)
		}
		out.Tokens = append(out.Tokens, piece)
		out.TokenLogprobs = append(out.TokenLogprobs, max(t.Logprob, leastLogprob))
		out.TopLogprobs = append(out.TopLogprobs, top)
		out.TextOffset = append(out.TextOffset, offset)
		offset += len(piece)
	}
	return out, offset
}
