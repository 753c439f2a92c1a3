package evidence

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"
)

// document is a piece of evidence that pointers lead into.
type document struct {
	name  string
	value any      // decoded JSON, numbers as json.Number
	lines []string // of a text
}

// open reads a JSON document, JSON lines, or a text.
func open(fsys fs.FS, name string) (*document, error) {
	data, err := readFile(fsys, name)
	if err != nil {
		return nil, err
	}
	d := &document{name: name}
	switch path.Ext(name) {
	case ".json":
		d.value, err = decode(data)
	case ".jsonl":
		var list []any
		for line := range bytes.Lines(data) {
			if len(bytes.TrimSpace(line)) == 0 {
				continue
			}
			var v any
			if v, err = decode(line); err != nil {
				break
			}
			list = append(list, v)
		}
		d.value = list
	default:
		d.lines = strings.Split(string(data), "\n")
	}
	if err != nil {
		return nil, fmt.Errorf("evidence: %s: %w", name, err)
	}
	return d, nil
}

func decode(data []byte) (any, error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, err
	}
	if dec.More() {
		return nil, errors.New("more than one JSON document")
	}
	return v, nil
}

var unescape = strings.NewReplacer("~1", "/", "~0", "~")

// at follows a JSON pointer (RFC 6901). In JSON lines its first token is the line, counted from 0; in a text it is
// the only token, counted from 1.
func (d *document) at(pointer string) (any, error) {
	if pointer != "" && pointer[0] != '/' {
		return nil, fmt.Errorf("pointer %q does not begin with /", pointer)
	}
	tokens := strings.Split(pointer, "/")[1:]
	if pointer == "" {
		tokens = nil
	}
	if d.lines != nil {
		return d.line(pointer, tokens)
	}
	v := d.value
	for i, t := range tokens {
		t = unescape.Replace(t)
		var ok bool
		switch node := v.(type) {
		case map[string]any:
			v, ok = node[t]
		case []any:
			var n int
			if n, ok = index(t, len(node)); ok {
				v = node[n]
			}
		}
		if !ok {
			return nil, fmt.Errorf("%s has nothing at /%s", d.name, strings.Join(tokens[:i+1], "/"))
		}
	}
	return v, nil
}

func (d *document) line(pointer string, tokens []string) (any, error) {
	if len(tokens) == 0 {
		return strings.Join(d.lines, "\n"), nil
	}
	n, ok := index(tokens[0], len(d.lines)+1)
	if !ok || n == 0 || len(tokens) > 1 {
		return nil, fmt.Errorf("%s has no line %s", d.name, strings.TrimPrefix(pointer, "/"))
	}
	return d.lines[n-1], nil
}

// index is an array index in the spelling of RFC 6901: no sign, no leading zero.
func index(t string, n int) (int, bool) {
	i, err := strconv.Atoi(t)
	return i, err == nil && i >= 0 && i < n && t == strconv.Itoa(i)
}

// Escape is a key as a token of a JSON pointer.
func Escape(key string) string { return strings.NewReplacer("~", "~0", "/", "~1").Replace(key) }
