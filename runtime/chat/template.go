package chat

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Template is a parsed chat template; it may be rendered by several goroutines.
type Template struct{ body []node }

// Parse reads a template. A template that jinja2 would not accept is a *SyntaxError.
func Parse(source string) (*Template, error) {
	if len(source) > maxSource {
		return nil, fmt.Errorf("chat template: %d bytes are more than the %d allowed", len(source), maxSource)
	}
	body, err := parse(source)
	if err != nil {
		return nil, err
	}
	return &Template{body}, nil
}

// maxSource bounds a template's length in bytes; real ones have up to 100 kB.
const maxSource = 4 << 20

// Limits bound what a rendering may cost; zero fields take the defaults.
type Limits struct {
	Steps  int // statements and expressions evaluated; 10 million
	Output int // bytes printed, and of any one value; 32 MiB. All values together may have 32 times as many
	Depth  int // macros and loops within each other; 200
}

func (l Limits) orDefaults() Limits {
	if l.Steps <= 0 {
		l.Steps = 10_000_000
	}
	if l.Output <= 0 {
		l.Output = 32 << 20
	}
	if l.Depth <= 0 {
		l.Depth = 200
	}
	return l
}

// Input is what a template gets, as transformers' apply_chat_template passes it.
type Input struct {
	Messages            []byte // JSON list of messages; the order of keys counts
	API                 bool   // messages and tools are as clients of OpenAI's API send them, and are put right for the template
	Tools               []byte // JSON list of tools, or nil for none
	Documents           []byte // JSON list of documents, or nil for none
	AddGenerationPrompt bool
	BOS, EOS            string
	Extra               []byte           // JSON object of further variables (enable_thinking ...), or nil
	Now                 func() time.Time // clock of strftime_now; time.Now if nil
	Limits              Limits
}

// RaisedError is a template's own refusal of the conversation, by raise_exception.
type RaisedError struct {
	Line int
	Msg  string
}

func (e *RaisedError) Error() string { return fmt.Sprintf("chat template: line %d: %s", e.Line, e.Msg) }

// RenderError is a failure of a template's evaluation.
type RenderError struct {
	Line int
	Err  error
}

func (e *RenderError) Error() string { return fmt.Sprintf("chat template: line %d: %v", e.Line, e.Err) }
func (e *RenderError) Unwrap() error { return e.Err }

// ErrLimit is what a *RenderError wraps when a limit was reached.
var ErrLimit = errors.New("limit reached")

// Render evaluates the template. It fails with a *RaisedError, a *RenderError, ctx's error, or one of the JSON.
func (t *Template) Render(ctx context.Context, in Input) (string, error) {
	if in.API {
		return t.renderAPI(ctx, in)
	}
	return t.render(ctx, in, nil)
}

// render renders what an API sent as a says; without one, what it gets is what the template gets.
func (t *Template) render(ctx context.Context, in Input, a *adaption) (string, error) {
	vars, err := in.variables()
	if err != nil {
		return "", err
	}
	x := &exec{ctx: ctx, limits: in.Limits.orDefaults(), now: in.Now, lenient: a != nil}
	if x.now == nil {
		x.now = time.Now
	}
	if a != nil {
		if err := a.apply(x, vars); err != nil {
			return "", err
		}
	}
	var out strings.Builder
	x.out = &out
	root := newScope(newScope(nil, globals), vars)
	if err := x.run(t.body, root); err != nil {
		return "", x.located(err)
	}
	return out.String(), nil
}

func (in *Input) variables() (map[string]value, error) {
	vars := map[string]value{
		"add_generation_prompt": in.AddGenerationPrompt, "bos_token": in.BOS, "eos_token": in.EOS,
		"tools": nil, "documents": nil,
	}
	for _, j := range []struct {
		name string
		data []byte
	}{{"messages", in.Messages}, {"tools", in.Tools}, {"documents", in.Documents}} {
		if j.data == nil {
			continue
		}
		v, err := parseJSON(j.data)
		if err != nil {
			return nil, fmt.Errorf("chat: %s: %w", j.name, err)
		}
		if _, ok := v.(*list); !ok && v != nil {
			return nil, fmt.Errorf("chat: %s: want a list, got %s", j.name, typeName(v))
		}
		vars[j.name] = v
	}
	if in.Extra == nil {
		return vars, nil
	}
	v, err := parseJSON(in.Extra)
	d, ok := v.(*dict)
	if err == nil && !ok {
		err = errors.New("want an object")
	}
	if err != nil {
		return nil, fmt.Errorf("chat: further variables: %w", err)
	}
	for i, k := range d.keys {
		vars[k.(string)] = d.vals[i]
	}
	return vars, nil
}
