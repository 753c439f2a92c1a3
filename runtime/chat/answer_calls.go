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

// tools are the types of the parameters of each tool, by name; the parameters of tool and type may be unknown.
type tools map[string]map[string]string

// readTools reads a list of tools as OpenAI's API has it; it is nil where there are none.
func readTools(data []byte) tools {
	var list []struct {
		Function struct {
			Name       string
			Parameters struct {
				Properties map[string]struct{ Type any }
			}
		}
	}
	if json.Unmarshal(data, &list) != nil || len(list) == 0 {
		return nil
	}
	out := tools{}
	for _, t := range list {
		types := map[string]string{}
		for name, p := range t.Function.Parameters.Properties {
			if kind, ok := p.Type.(string); ok {
				types[name] = kind
			}
		}
		out[t.Function.Name] = types
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

// arguments is a parameter's text as JSON: what is no text by the tool's schema, and is JSON, is taken as it is.
func (t tools) argument(tool, name, text string) json.RawMessage {
	if t[tool][name] != "string" && json.Valid([]byte(text)) {
		return json.RawMessage(text)
	}
	data, _ := json.Marshal(text)
	return data
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
		key, _ := json.Marshal(name)
		b.Write(key)
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

// readObjects reads objects {"name", "arguments"}, one or several, in a list or one after the other. Llama says
// "parameters".
func readObjects(body string, _ tools) ([]ToolCall, bool) {
	var calls []ToolCall
	d := json.NewDecoder(strings.NewReader(body))
	for {
		var v json.RawMessage
		switch err := d.Decode(&v); {
		case errors.Is(err, io.EOF):
			return calls, len(calls) > 0
		case err != nil:
			return nil, false
		}
		list := []json.RawMessage{v}
		if v[0] == '[' && json.Unmarshal(v, &list) != nil {
			return nil, false
		}
		for _, item := range list {
			var c struct {
				ID                    string
				Name                  string
				Arguments, Parameters json.RawMessage
			}
			if json.Unmarshal(item, &c) != nil {
				return nil, false
			}
			if c.Arguments == nil {
				c.Arguments = c.Parameters
			}
			var text string
			if json.Unmarshal(c.Arguments, &text) != nil {
				text = string(c.Arguments)
			}
			arguments, ok := object(text)
			if !ok {
				return nil, false
			}
			calls = append(calls, ToolCall{c.ID, c.Name, arguments})
		}
	}
}

// readTagged reads what stands in <tool_call>: JSON, Qwen3-Coder's functions, or GLM's keys and values.
func readTagged(body string, t tools) ([]ToolCall, bool) {
	switch body = strings.TrimSpace(body); {
	case strings.HasPrefix(body, "{") || strings.HasPrefix(body, "["):
		return readObjects(body, t)
	case strings.HasPrefix(body, "<function="):
		return readFunctions(body, t)
	}
	return readKeys(body, t)
}

var (
	functionTag  = regexp.MustCompile(`(?s)^<function=([^>\s]+)>\s*(.*?)\s*</function>\s*`)
	parameterTag = regexp.MustCompile(`(?s)^<parameter=([^>\s]+)>\n?(.*?)\n?</parameter>\s*`)
	keyTag       = regexp.MustCompile(`(?s)^<arg_key>(.*?)</arg_key>\s*<arg_value>(.*?)</arg_value>\s*`)
	invokeTag    = regexp.MustCompile(`(?s)^<invoke name="([^"]*)">\s*(.*?)\s*</invoke>\s*`)
	namedTag     = regexp.MustCompile(`(?s)^<parameter name="([^"]*)"(?: string="(true|false)")?>(.*?)</parameter>\s*`)
)

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

func readFunctions(body string, t tools) (calls []ToolCall, ok bool) {
	ok = pieces(strings.TrimSpace(body), functionTag, func(f []string) bool {
		var a argumentList
		ok := pieces(f[2], parameterTag, func(p []string) bool {
			a.add(p[1], t.argument(f[1], p[1], p[2]))
			return true
		})
		calls = append(calls, ToolCall{Name: f[1], Arguments: a.json()})
		return ok
	})
	return calls, ok
}

func readKeys(body string, t tools) ([]ToolCall, bool) {
	name, rest := body, ""
	if i := strings.Index(body, "<arg_key>"); i >= 0 {
		name, rest = body[:i], body[i:]
	}
	name = strings.TrimSpace(name)
	var a argumentList
	ok := pieces(rest, keyTag, func(p []string) bool {
		a.add(p[1], t.argument(name, p[1], p[2]))
		return true
	})
	return []ToolCall{{Name: name, Arguments: a.json()}}, ok && name != ""
}

// readInvoke reads MiniMax-M2's invocations, and DeepSeek-V3.2's, which say of each parameter whether it is a text.
func readInvoke(body string, t tools) (calls []ToolCall, ok bool) {
	body = strings.ReplaceAll(body, "｜DSML｜", "")
	ok = pieces(strings.TrimSpace(body), invokeTag, func(f []string) bool {
		var a argumentList
		ok := pieces(f[2], namedTag, func(p []string) bool {
			value := t.argument(f[1], p[1], p[3])
			if p[2] == "true" {
				value, _ = json.Marshal(p[3])
			}
			a.add(p[1], value)
			return p[2] != "false" || json.Valid([]byte(p[3]))
		})
		calls = append(calls, ToolCall{Name: f[1], Arguments: a.json()})
		return ok
	})
	return calls, ok
}

// readMistral reads a list of objects, or from 2025 on a name and arguments for each [TOOL_CALLS].
func readMistral(body string, t tools) ([]ToolCall, bool) {
	if body = strings.TrimSpace(body); strings.HasPrefix(body, "[") {
		return readObjects(body, t)
	}
	var calls []ToolCall
	for part := range strings.SplitSeq(body, "[TOOL_CALLS]") {
		name, text, found := strings.Cut(part, "[ARGS]")
		name, id, _ := strings.Cut(name, "[CALL_ID]")
		arguments, ok := object(text)
		if !found || !ok {
			return nil, false
		}
		calls = append(calls, ToolCall{strings.TrimSpace(id), strings.TrimSpace(name), arguments})
	}
	return calls, true
}

const (
	deepSeekCalls = "<｜tool▁calls▁begin｜>"
	deepSeekCall  = "<｜tool▁call▁begin｜>"
	deepSeekEnd   = "<｜tool▁call▁end｜>"
	deepSeekSep   = "<｜tool▁sep｜>"
	kimiCall      = "<|tool_call_begin|>"
	kimiArguments = "<|tool_call_argument_begin|>"
	kimiEnd       = "<|tool_call_end|>"
)

// callTokens are tokens that stand within calls.
var callTokens = []string{deepSeekCall, deepSeekEnd, deepSeekSep, kimiCall, kimiArguments, kimiEnd, "[ARGS]", "[CALL_ID]"}

// readDeepSeek reads "function", a name and a block of JSON for each call, or V3.1's name and JSON.
func readDeepSeek(body string, _ tools) ([]ToolCall, bool) {
	return readEach(body, deepSeekCall, deepSeekEnd, func(call string) (c ToolCall, ok bool) {
		head, rest, ok := strings.Cut(call, deepSeekSep)
		if name, block, found := strings.Cut(rest, "```json"); ok && found {
			head, rest = name, strings.TrimSuffix(strings.TrimSpace(block), "```")
		}
		c.Name = strings.TrimSpace(head)
		arguments, isObject := object(rest)
		c.Arguments = arguments
		return c, ok && isObject
	})
}

// readKimi reads functions.NAME:INDEX, which is the call's id, and JSON for each call.
func readKimi(body string, _ tools) ([]ToolCall, bool) {
	return readEach(body, kimiCall, kimiEnd, func(call string) (c ToolCall, ok bool) {
		id, rest, ok := strings.Cut(call, kimiArguments)
		c.ID = strings.TrimSpace(id)
		name := strings.TrimPrefix(c.ID, "functions.")
		if i := strings.LastIndexByte(name, ':'); i >= 0 {
			name = name[:i]
		}
		arguments, isObject := object(rest)
		c.Name, c.Arguments = name, arguments
		return c, ok && isObject
	})
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
