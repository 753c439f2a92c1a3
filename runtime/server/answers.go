package server

import (
	"crypto/rand"

	"github.com/moeconv/moeconv/runtime"
	"github.com/moeconv/moeconv/runtime/chat"
)

// toolCall is a call in a message; in a delta it has an index, too.
type toolCall struct {
	Index    *int         `json:"index,omitempty"`
	ID       string       `json:"id"`
	Type     string       `json:"type"`
	Function functionCall `json:"function"`
}

type functionCall struct {
	Name      string `json:"name"`
	Arguments string `json:"arguments"` // JSON
}

// answers takes the choices of a request apart.
type answers struct {
	format *chat.Format
	prompt string
	tools  []byte
	begun  map[int]*written // by choice
}

// written is a choice being written.
type written struct {
	parser *chat.Parser
	calls  int
}

func newAnswers(f *chat.Format, prompt string, tools []byte) *answers {
	return &answers{f, prompt, tools, map[int]*written{}}
}

// message is a whole answer, and why it ended.
func (a *answers) message(c choice) (*chatMessage, *string) {
	p := a.format.NewParser(a.prompt, a.tools)
	d, last := p.Push(c.done.Text), p.Flush()
	content := d.Content + last.Content
	m := &chatMessage{Role: "assistant", Content: &content, Reasoning: d.Reasoning + last.Reasoning}
	for _, call := range append(d.Calls, last.Calls...) {
		m.Calls = append(m.Calls, newCall(call))
	}
	if len(m.Calls) > 0 && content == "" {
		m.Content = nil
	}
	return m, reasonWith(len(m.Calls), c.done.Reason)
}

// delta is what a token makes clear of choice number index, and with the last one why it ended.
func (a *answers) delta(index int, t runtime.Token) (*chatMessage, *string) {
	m := &chatMessage{}
	one := a.begun[index]
	if one == nil {
		one = &written{parser: a.format.NewParser(a.prompt, a.tools)}
		a.begun[index], m.Role = one, "assistant"
	}
	d := one.parser.Push(t.Text)
	if t.Reason != "" {
		last := one.parser.Flush()
		d = chat.Delta{Content: d.Content + last.Content, Reasoning: d.Reasoning + last.Reasoning, Calls: append(d.Calls, last.Calls...)}
	}
	m.Content, m.Reasoning = &d.Content, d.Reasoning
	for _, call := range d.Calls {
		c, number := newCall(call), one.calls
		c.Index = &number
		m.Calls = append(m.Calls, c)
		one.calls++
	}
	return m, reasonWith(one.calls, t.Reason)
}

// idLength is Mistral's: its templates refuse ids of other lengths.
const idLength = 9

func newCall(c chat.ToolCall) toolCall {
	id := c.ID
	if id == "" {
		id = rand.Text()[:idLength]
	}
	return toolCall{ID: id, Type: "function", Function: functionCall{c.Name, c.Arguments}}
}

// reasonWith is reasonOf for an answer with so many calls.
func reasonWith(calls int, reason string) *string {
	word := reasonOf(reason)
	if word != nil && *word == "stop" && calls > 0 {
		*word = "tool_calls"
	}
	return word
}
