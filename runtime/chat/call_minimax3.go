package chat

import (
	"encoding/json"
	"regexp"
	"strings"
)

const miniMaxMark = "]<]minimax[>["

// miniMax3 is MiniMax-M3's invocations, each tag after a mark: parameters are tags of their name, fields and items such
// within them.
var miniMax3 = dialect{
	in:     containsAll(miniMaxMark, "<tool_call>"),
	thinks: []mark{{"<mm:think>", "</mm:think>"}},
	calls:  []callMark{{mark: mark{miniMaxMark + "<tool_call>", miniMaxMark + "</tool_call>"}, read: readMiniMax3}},
	drops:  []string{"</mm:think>"},
	tokens: []string{miniMaxMark, "<tool_call>", "</tool_call>"},
}

var markedInvoke = regexp.MustCompile(`^<invoke name="([^"]*)">\s*`)

func readMiniMax3(body string, t tools) ([]ToolCall, bool) {
	var calls []ToolCall
	for body = strings.TrimSpace(body); body != ""; body = strings.TrimSpace(body) {
		rest, marked := strings.CutPrefix(body, miniMaxMark)
		m := markedInvoke.FindStringSubmatch(rest)
		if !marked || m == nil {
			return nil, false
		}
		fields, rest, ended := strings.Cut(rest[len(m[0]):], miniMaxMark+"</invoke>")
		x := markedTags{strings.TrimSpace(fields)}
		a, ok := x.fields(t[m[1]], 0)
		if !ended || !ok || x.rest != "" {
			return nil, false
		}
		calls = append(calls, ToolCall{Name: m[1], Arguments: a.json()})
		body = rest
	}
	return calls, len(calls) > 0
}

// markedTags reads tags after marks.
type markedTags struct{ rest string }

// fields reads tags that follow each other, up to the end of what they stand in.
func (x *markedTags) fields(s *schema, depth int) (a argumentList, ok bool) {
	for strings.HasPrefix(x.rest, miniMaxMark+"<") && !strings.HasPrefix(x.rest, miniMaxMark+"</") {
		name, rest, found := strings.Cut(x.rest[len(miniMaxMark)+1:], ">")
		if !found || depth > maxNesting {
			return a, false
		}
		x.rest = rest
		of := s.property(name)
		if name == "item" && of == nil {
			of = s.item()
		}
		v, ok := x.value(name, of, depth)
		if !ok {
			return a, false
		}
		a.add(name, v)
		x.rest = strings.TrimLeft(x.rest, " \n")
	}
	return a, true
}

// value reads up to the end of the tag name: a text, or what tags within it make, which is a list if all are items.
func (x *markedTags) value(name string, s *schema, depth int) (json.RawMessage, bool) {
	end := miniMaxMark + "</" + name + ">"
	if inner := strings.TrimLeft(x.rest, " \n"); strings.HasPrefix(inner, miniMaxMark+"<") && !strings.HasPrefix(inner, miniMaxMark+"</") && (s == nil || s.Type != "string") {
		x.rest = inner
		a, ok := x.fields(s, depth+1)
		rest, ended := strings.CutPrefix(x.rest, end)
		x.rest = rest
		return a.listOrObject(), ok && ended
	}
	text, rest, found := strings.Cut(x.rest, end)
	x.rest = rest
	return s.value(text), found
}

// listOrObject is a list where every name is item.
func (a *argumentList) listOrObject() json.RawMessage {
	items := []string{}
	for i, name := range a.names {
		if name != "item" {
			return json.RawMessage(a.json())
		}
		items = append(items, string(a.values[i]))
	}
	return json.RawMessage("[" + strings.Join(items, ", ") + "]")
}
