package probe

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/moeconv/moeconv/runtime"
	"github.com/moeconv/moeconv/runtime/chat"
	"github.com/moeconv/moeconv/runtime/sample"
	"github.com/moeconv/moeconv/runtime/server"
	"github.com/moeconv/moeconv/runtime/token"
)

// Query is what an engine is asked.
type Query struct {
	Prompt      string
	Chat        bool
	Thinking    string // on, off, or empty: as the template has it
	MaxTokens   int
	Temperature float64 // 0: greedy
	Seed        uint64
}

// Reply is what it says.
type Reply struct {
	Text                 string // special tokens of thinking written out
	Answer               string // what follows the end of thinking
	Thinking             bool   // Answer is empty, since the thinking had no end
	IDs                  []int32
	PromptTokens, Tokens int
	Finish               string // runtime.Reason..., or what an endpoint says
}

func (r Reply) cut() bool {
	return r.Finish == runtime.ReasonLength || r.Finish == runtime.ReasonContext
}

// Engine answers: the bundled runtime, or a server.
type Engine interface {
	Name() string
	// Chats reports whether it can answer a turn of a conversation; a model without a chat template cannot.
	Chats() (bool, error)
	// Ask answers queries of one prompt; the replies are in their order.
	Ask(context.Context, ...Query) ([]Reply, error)
}

// builtin is the bundled runtime with one model.
type builtin struct {
	name  string
	model *runtime.Model
}

// Builtin is the bundled runtime running m.
func Builtin(name string, m *runtime.Model) Engine { return &builtin{name, m} }

func (b *builtin) Name() string { return b.name }

func (b *builtin) Chats() (bool, error) {
	t, err := b.model.ChatTemplate("", false)
	if err != nil {
		return false, err
	}
	return t.Own, nil
}

// Ask writes all answers together: each weight is read once for all of them, and none depends on the others.
func (b *builtin) Ask(ctx context.Context, qs ...Query) ([]Reply, error) {
	tok, err := b.model.Tokenizer()
	if err != nil {
		return nil, err
	}
	gs, opened := make([]*runtime.Generator, len(qs)), make([]bool, len(qs))
	for i, q := range qs {
		ids, open, stop, err := b.prompt(ctx, tok, q)
		if err != nil {
			return nil, err
		}
		opened[i] = open
		if gs[i], err = runtime.NewGenerator(b.model.NewSession(), ids, runtime.GenerateOptions{MaxTokens: q.MaxTokens, Stop: stop,
			Sample: sample.Options{Temperature: q.Temperature, Seed: q.Seed}}); err != nil {
			return nil, err
		}
	}
	if err := write(ctx, b.model.NewBatch(), gs); err != nil {
		return nil, err
	}
	out := make([]Reply, len(qs))
	for i, g := range gs {
		g := g.Generation()
		out[i] = Reply{Text: g.Text, Answer: g.Text, IDs: g.IDs, PromptTokens: g.PromptTokens, Tokens: g.Tokens, Finish: g.Reason}
		if qs[i].Chat {
			out[i].part(tok, g, opened[i])
		}
	}
	return out, nil
}

// promptStep is the number of tokens of all prompts together that a step reads.
const promptStep = 512

// write steps until all generations are done.
func write(ctx context.Context, b *runtime.Batch, gs []*runtime.Generator) error {
	for gs = slices.Clone(gs); len(gs) > 0; {
		if err := errors.Join(b.Step(ctx, gs, promptStep)...); err != nil {
			return err
		}
		gs = slices.DeleteFunc(gs, (*runtime.Generator).Done)
	}
	return nil
}

// prompt is the query as ids, and whether it ends within an open thought.
func (b *builtin) prompt(ctx context.Context, tok *token.Tokenizer, q Query) (ids []int32, opened bool, stop []string, err error) {
	if !q.Chat {
		ids, err = tok.Encode(q.Prompt, token.Options{AddSpecial: true})
		return ids, false, nil, err
	}
	t, err := b.model.ChatTemplate("", false)
	if err != nil {
		return nil, false, nil, err
	}
	messages, extra, err := conversation(q)
	if err != nil {
		return nil, false, nil, err
	}
	in := chat.Input{Messages: messages, AddGenerationPrompt: true, Extra: extra}
	text, err := t.Render(ctx, in)
	if err != nil {
		return nil, false, nil, err
	}
	ids, err = t.Tokens(ctx, in)
	return ids, opensThinking(text), t.Stop, err
}

// conversation is the query as a conversation of one turn, and the variables of its template.
func conversation(q Query) (messages, extra json.RawMessage, err error) {
	type message struct {
		Role    string `json:"role"`
		Content string `json:"content"`
	}
	if messages, err = json.Marshal([]message{{"user", q.Prompt}}); err != nil {
		return nil, nil, err
	}
	switch q.Thinking {
	case "":
	case "on", "off":
		on := q.Thinking == "on"
		extra, err = json.Marshal(map[string]bool{"enable_thinking": on, "thinking": on})
	default:
		err = fmt.Errorf("thinking %q; want on or off", q.Thinking)
	}
	return messages, extra, err
}

// part finds the end of thinking, in the text with its special tokens.
func (r *Reply) part(tok *token.Tokenizer, g runtime.Generation, opened bool) {
	special := tok.Decode(g.IDs, token.Options{ParseSpecial: true})
	answer, ended := afterThinking(special, opened)
	r.Thinking = !ended
	if ended && answer == special {
		return // no thought in it: g.Text is the same without special tokens
	}
	r.Text = special
	for _, id := range g.IDs {
		if tok.IsControl(id) {
			answer = strings.ReplaceAll(answer, tok.TokenText(id), "")
		}
	}
	r.Answer = strings.TrimLeft(answer, "\n")
}

// endpoint is a server with OpenAI's API.
type endpoint struct{ client *server.Client }

// Endpoint is a server. Its address stays out of reports.
func Endpoint(c *server.Client) Engine { return &endpoint{c} }

func (e *endpoint) Name() string         { return "endpoint" }
func (e *endpoint) Chats() (bool, error) { return true, nil } // it says so itself, when it is asked

func (e *endpoint) Ask(ctx context.Context, qs ...Query) ([]Reply, error) {
	out := make([]Reply, len(qs))
	for i, q := range qs {
		var err error
		if out[i], err = e.one(ctx, q); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (e *endpoint) one(ctx context.Context, q Query) (Reply, error) {
	req := server.Request{MaxTokens: q.MaxTokens, Temperature: &q.Temperature, Seed: &q.Seed, Prompt: q.Prompt}
	if q.Chat {
		var err error
		req.Prompt = ""
		if req.Messages, req.Template, err = conversation(q); err != nil {
			return Reply{}, err
		}
	}
	a, err := e.client.Generate(ctx, req, nil)
	if err != nil {
		return Reply{}, err
	}
	r := Reply{Text: a.Text, Answer: a.Text, PromptTokens: a.Usage.PromptTokens, Tokens: a.Usage.CompletionTokens, Finish: a.Reason}
	if q.Chat {
		answer, ended := afterThinking(a.Text, false)
		r.Answer, r.Thinking = strings.TrimLeft(answer, "\n"), !ended
	}
	return r, nil
}
