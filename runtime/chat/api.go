package chat

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// normalise makes messages as OpenAI's API has them those that templates expect: a list of text parts becomes a text,
// and with arguments the JSON text of a tool call's arguments becomes an object.
func normalise(messages *list, arguments bool) error {
	for i, m := range messages.items {
		d, ok := m.(*dict)
		if !ok {
			return fmt.Errorf("chat: message %d: want an object, got %s", i, typeName(m))
		}
		if role, _ := d.get("role"); role == nil {
			return fmt.Errorf("chat: message %d has no role", i)
		} else if _, ok := role.(string); !ok {
			return fmt.Errorf("chat: message %d: role: want a string, got %s", i, typeName(role))
		}
		if err := joinParts(d); err != nil {
			return fmt.Errorf("chat: message %d: %w", i, err)
		}
		if arguments {
			parseArguments(d)
		}
	}
	return nil
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
			text, ok := textOf(part)
			if kind != "text" || !ok {
				return fmt.Errorf("content: part %d is of type %v; only text can be read", i, kind)
			}
			texts = append(texts, text)
		}
		return message.set("content", strings.Join(texts, "\n"))
	}
	return errors.New("content: want a string or a list of parts, got " + typeName(content))
}

func textOf(part *dict) (string, bool) {
	v, _ := part.get("text")
	text, ok := v.(string)
	return text, ok
}

// parseArguments leaves alone what is no JSON object.
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
		if text, ok := a.(string); ok && json.Valid([]byte(text)) {
			if v, err := parseJSON([]byte(text)); err == nil {
				if _, ok := v.(*dict); ok {
					function.put("arguments", v)
				}
			}
		}
	}
}
