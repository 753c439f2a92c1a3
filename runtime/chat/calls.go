package chat

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"regexp"
	"slices"
	"strings"
)

// tools are the schemas of each tool's parameters, by name.
type tools map[string]*schema

// schema is what matters of a JSON schema; nil is an unknown one.
type schema struct {
	Type       any
	Properties map[string]*schema
	Items      *schema
}

// property is the schema of a field.
func (s *schema) property(name string) *schema {
	if s == nil {
		return nil
	}
	return s.Properties[name]
}

// item is the schema of an item of a list.
func (s *schema) item() *schema {
	if s == nil {
		return nil
	}
	return s.Items
}

// readTools reads a list of tools as OpenAI's API has it; it is nil where there are none.
func readTools(data []byte) tools {
	var list []struct {
		Function struct {
			Name       string
			Parameters json.RawMessage
		}
	}
	if json.Unmarshal(data, &list) != nil || len(list) == 0 {
		return nil
	}
	out := tools{}
	for _, t := range list {
		var s *schema
		if json.Unmarshal(t.Function.Parameters, &s) != nil {
			s = nil
		}
		out[t.Function.Name] = s
	}
	return out
}

// have reports whether all calls are of tools that there are.
func (t tools) have(calls []ToolCall) bool {
	for _, c := range calls {
		if _, ok := t[c.Name]; !ok {
			return false
		}
	}
	return len(calls) > 0
}

// argument is a parameter's text as JSON: what is no text by the tool's schema, and is JSON, is taken as it is.
func (t tools) argument(tool, name, text string) json.RawMessage {
	return t[tool].property(name).value(text)
}

func (s *schema) value(text string) json.RawMessage {
	if (s == nil || s.Type != "string") && json.Valid([]byte(text)) {
		return json.RawMessage(text)
	}
	return quoted(text)
}

// quoted is a text in JSON.
func quoted(text string) json.RawMessage {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.Encode(text) // texts can be encoded
	return bytes.TrimRight(b.Bytes(), "\n")
}

// argumentList is arguments in their order.
type argumentList struct {
	names  []string
	values []json.RawMessage
}

func (a *argumentList) add(name string, value json.RawMessage) {
	a.names, a.values = append(a.names, name), append(a.values, value)
}

func (a *argumentList) json() string {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, name := range a.names {
		if i > 0 {
			b.WriteString(", ")
		}
		b.Write(quoted(name))
		b.WriteString(": ")
		b.Write(a.values[i])
	}
	b.WriteByte('}')
	return b.String()
}

// object is text if it is a JSON object and nothing else.
func object(text string) (string, bool) {
	text = strings.TrimSpace(text)
	return text, strings.HasPrefix(text, "{") && json.Valid([]byte(text))
}

// readObjects reads objects that name a tool and its arguments, one or several, in a list or one after the other.
func readObjects(body string, _ tools) ([]ToolCall, bool) {
	var calls []ToolCall
	for {
		body = strings.TrimLeft(body, "; \t\r\n") // Llama parts several by semicolons
		d := json.NewDecoder(strings.NewReader(body))
		var v json.RawMessage
		switch err := d.Decode(&v); {
		case errors.Is(err, io.EOF):
			return calls, len(calls) > 0
		case err != nil:
			return nil, false
		}
		body = body[d.InputOffset():]
		list := []json.RawMessage{v}
		if v[0] == '[' && json.Unmarshal(v, &list) != nil {
			return nil, false
		}
		for _, item := range list {
			c, ok := readObject(item)
			if !ok {
				return nil, false
			}
			calls = append(calls, c)
		}
	}
}

// readObject reads {"name", "arguments"}; Llama says "parameters", Cohere "tool_name". Arguments may be written as a text.
func readObject(data []byte) (ToolCall, bool) {
	var c struct {
		ID, Name              string
		ToolName              string `json:"tool_name"`
		ToolCallID            string `json:"tool_call_id"`
		Arguments, Parameters json.RawMessage
	}
	if json.Unmarshal(data, &c) != nil {
		return ToolCall{}, false
	}
	if c.Arguments == nil {
		c.Arguments = c.Parameters
	}
	var text string
	if json.Unmarshal(c.Arguments, &text) != nil {
		text = string(c.Arguments)
	}
	arguments, ok := object(text)
	return ToolCall{c.ID + c.ToolCallID, c.Name + c.ToolName, arguments}, ok
}

// pieces calls f with the groups of tag's matches, which must follow each other and be all there is.
func pieces(text string, tag *regexp.Regexp, f func(groups []string) bool) bool {
	for text != "" {
		m := tag.FindStringSubmatch(text)
		if m == nil || !f(m) {
			return false
		}
		text = text[len(m[0]):]
	}
	return true
}

// readEach reads calls that stand between begin and end, with spaces between them.
func readEach(body, begin, end string, read func(string) (ToolCall, bool)) ([]ToolCall, bool) {
	var calls []ToolCall
	for body = strings.TrimSpace(body); body != ""; body = strings.TrimSpace(body) {
		text, found := strings.CutPrefix(body, begin)
		text, rest, ended := strings.Cut(text, end)
		c, ok := read(text)
		if !found || !ended || !ok {
			return nil, false
		}
		calls, body = append(calls, c), rest
	}
	return slices.Clip(calls), len(calls) > 0
}
