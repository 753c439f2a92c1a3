package chat

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// adaption is how messages and tools of OpenAI's API are brought to the form that a template can take. Each field is a
// weakness that some templates have.
type adaption struct {
	plainArguments bool // arguments of calls stay the JSON text they are, instead of an object
	emptyContent   bool // content that is null or missing is an empty text
	wholeTools     bool // a tool has all fields; and the variables that only older templates expect are there
}

// renderAPI renders for what OpenAI's API sends: as transformers would, and where that fails with what templates
// stumble over put right. The first failure is the one reported.
func (t *Template) renderAPI(ctx context.Context, in Input) (string, error) {
	var first error
	for i := range 8 {
		a := adaption{i&1 != 0, i&2 != 0, i&4 != 0}
		text, err := t.render(ctx, in, &a)
		if err == nil {
			return t.withoutNone(ctx, in, a, text), nil
		}
		if first == nil {
			first = err
		}
		var failed *RenderError
		var raised *RaisedError
		if errors.Is(err, ErrLimit) || !errors.As(err, &failed) && !errors.As(err, &raised) {
			break
		}
	}
	return "", first
}

// withoutNone is text, or the rendering with empty contents where text has the word None for those that are null.
func (t *Template) withoutNone(ctx context.Context, in Input, a adaption, text string) string {
	if a.emptyContent || !bytes.Contains(in.Messages, []byte("null")) {
		return text
	}
	a.emptyContent = true
	other, err := t.render(ctx, in, &a)
	if err == nil && strings.Count(text, "None") > strings.Count(other, "None") {
		return other
	}
	return text
}

// apply puts a template's variables right.
func (a *adaption) apply(x *exec, vars map[string]value) error {
	if messages, ok := vars["messages"].(*list); ok {
		if err := a.messages(messages); err != nil {
			return err
		}
	}
	if a.wholeTools {
		completeTools(vars)
		olderVariables(x, vars)
	}
	return nil
}

// messages puts the conversation right, in place.
func (a *adaption) messages(messages *list) error {
	for i, m := range messages.items {
		d, ok := m.(*dict)
		if !ok {
			return fmt.Errorf("chat: message %d: want an object, got %s", i, typeName(m))
		}
		d = withoutNulls(d)
		messages.items[i] = d
		role, _ := d.get("role")
		switch name, ok := role.(string); {
		case role == nil:
			return fmt.Errorf("chat: message %d has no role", i)
		case !ok:
			return fmt.Errorf("chat: message %d: role: want a string, got %s", i, typeName(role))
		case name == "developer": // OpenAI's newer word; the templates that know it, too, make the same of both
			d.put("role", "system")
		}
		if err := joinParts(d); err != nil {
			return fmt.Errorf("chat: message %d: %w", i, err)
		}
		if content, _ := d.get("content"); content == nil && a.emptyContent {
			d.put("content", "")
		}
		if !a.plainArguments {
			parseArguments(d)
		}
	}
	return nil
}

// withoutNulls is a message without the fields that say nothing, which clients send back as they got them: templates
// take a field for being there. Content stays.
func withoutNulls(message *dict) *dict {
	out := newDict()
	for i, k := range message.keys {
		v := message.vals[i]
		if calls, ok := v.(*list); ok && k == "tool_calls" && len(calls.items) == 0 {
			v = nil
		}
		if name, _ := k.(string); v != nil || name == "content" {
			out.put(name, v)
		}
	}
	return out
}

func joinParts(message *dict) error {
	content, _ := message.get("content")
	switch c := content.(type) {
	case nil, string:
		return nil
	case *list:
		var texts []string
		for i, p := range c.items {
			part, ok := p.(*dict)
			if !ok {
				return fmt.Errorf("content: part %d is no object", i)
			}
			kind, _ := part.get("type")
			text, ok := partText(part, kind)
			if !ok {
				return fmt.Errorf("content: part %d is of type %v; only text can be read", i, kind)
			}
			texts = append(texts, text)
		}
		return message.set("content", strings.Join(texts, "\n"))
	}
	return errors.New("content: want a string or a list of parts, got " + typeName(content))
}

// partText is the text of a part of that kind: a text, or what an assistant said to refuse.
func partText(part *dict, kind value) (string, bool) {
	if kind != "text" && kind != "refusal" {
		return "", false
	}
	v, _ := part.get(kind)
	text, ok := v.(string)
	return text, ok
}

// parseArguments leaves alone what is no JSON object; no text at all is one without fields.
func parseArguments(message *dict) {
	calls, _ := message.get("tool_calls")
	list, ok := calls.(*list)
	if !ok {
		return
	}
	for _, c := range list.items {
		call, ok := c.(*dict)
		if !ok {
			continue
		}
		f, _ := call.get("function")
		function, ok := f.(*dict)
		if !ok {
			continue
		}
		a, _ := function.get("arguments")
		text, ok := a.(string)
		if ok && strings.TrimSpace(text) == "" {
			text = "{}"
		}
		if ok && json.Valid([]byte(text)) {
			if v, err := parseJSON([]byte(text)); err == nil {
				if _, ok := v.(*dict); ok {
					function.put("arguments", v)
				}
			}
		}
	}
}
