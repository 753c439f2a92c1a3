package chat

import (
	"encoding/json"
	"regexp"
	"strconv"
	"strings"
	"unicode"
)

// literals reads values as Python writes them, and calls with such values.
type literals struct{ rest string }

var (
	pythonName   = regexp.MustCompile(`^[\pL_][\pL\pN_.\-]*`)
	pythonNumber = regexp.MustCompile(`^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?`)
	pythonWords  = map[string]string{"True": "true", "False": "false", "None": "null", "true": "true", "false": "false", "null": "null"}
)

// take skips spaces and text, if it comes next, and the spaces after it.
func (l *literals) take(text string) bool {
	l.rest = strings.TrimLeftFunc(l.rest, unicode.IsSpace)
	rest, ok := strings.CutPrefix(l.rest, text)
	if ok {
		l.rest = strings.TrimLeftFunc(rest, unicode.IsSpace)
	}
	return ok
}

func (l *literals) name() (string, bool) {
	name := pythonName.FindString(l.rest)
	l.rest = l.rest[len(name):]
	return name, name != ""
}

// call reads NAME(NAME=VALUE, ...).
func (l *literals) call() (ToolCall, bool) {
	name, ok := l.name()
	if !ok || !l.take("(") {
		return ToolCall{}, false
	}
	var a argumentList
	for !l.take(")") {
		key, ok := l.name()
		if !ok || !l.take("=") {
			return ToolCall{}, false
		}
		v, ok := l.value(0)
		if !ok {
			return ToolCall{}, false
		}
		a.add(key, v)
		if !l.take(",") && !strings.HasPrefix(l.rest, ")") {
			return ToolCall{}, false
		}
	}
	return ToolCall{Name: name, Arguments: a.json()}, true
}

// value reads a text, number, word, list, tuple or dict as JSON.
func (l *literals) value(depth int) (json.RawMessage, bool) {
	if depth > maxNesting || l.rest == "" {
		return nil, false
	}
	switch c := l.rest[0]; {
	case c == '\'' || c == '"':
		text, ok := l.text()
		return quoted(text), ok
	case c == '[':
		return l.list("[", "]", depth)
	case c == '(':
		return l.list("(", ")", depth)
	case c == '{':
		return l.dict(depth)
	}
	if n := pythonNumber.FindString(l.rest); n != "" {
		l.rest = l.rest[len(n):]
		if json.Valid([]byte(n)) {
			return json.RawMessage(n), true
		}
		f, err := strconv.ParseFloat(n, 64) // +1, .5 and 1. are no JSON
		if err != nil {
			return nil, false
		}
		data, err := json.Marshal(f)
		return data, err == nil
	}
	word, _ := l.name()
	v, ok := pythonWords[word]
	return json.RawMessage(v), ok
}

func (l *literals) list(open, end string, depth int) (json.RawMessage, bool) {
	l.take(open)
	var items []string
	for !l.take(end) {
		v, ok := l.value(depth + 1)
		if !ok || !l.take(",") && !strings.HasPrefix(l.rest, end) {
			return nil, false
		}
		items = append(items, string(v))
	}
	return json.RawMessage("[" + strings.Join(items, ", ") + "]"), true
}

func (l *literals) dict(depth int) (json.RawMessage, bool) {
	l.take("{")
	var a argumentList
	for !l.take("}") {
		key, ok := l.text()
		if !ok || !l.take(":") {
			return nil, false
		}
		v, ok := l.value(depth + 1)
		if !ok || !l.take(",") && !strings.HasPrefix(l.rest, "}") {
			return nil, false
		}
		a.add(key, v)
	}
	return json.RawMessage(a.json()), true
}

// pythonEscapes are those of one letter.
var pythonEscapes = map[byte]string{'n': "\n", 't': "\t", 'r': "\r", '\\': "\\", '\'': "'", '"': "\"", 'b': "\b", 'f': "\f", '0': "\x00", '\n': ""}

// text reads a quoted text.
func (l *literals) text() (string, bool) {
	if l.rest == "" || l.rest[0] != '\'' && l.rest[0] != '"' {
		return "", false
	}
	end := l.rest[0]
	var b strings.Builder
	for i := 1; i < len(l.rest); i++ {
		switch c := l.rest[i]; {
		case c == end:
			l.rest = strings.TrimLeftFunc(l.rest[i+1:], unicode.IsSpace)
			return b.String(), true
		case c != '\\' || i+1 == len(l.rest):
			b.WriteByte(c)
		default:
			i++
			n := map[byte]int{'x': 2, 'u': 4, 'U': 8}[l.rest[i]]
			if code, err := strconv.ParseUint(l.rest[i+1:min(len(l.rest), i+1+n)], 16, 32); n > 0 && err == nil && i+n < len(l.rest) {
				b.WriteRune(rune(code))
				i += n
			} else if text, ok := pythonEscapes[l.rest[i]]; ok {
				b.WriteString(text)
			} else {
				b.WriteString(l.rest[i-1 : i+1])
			}
		}
	}
	return "", false
}
