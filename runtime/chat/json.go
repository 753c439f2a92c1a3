package chat

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// parseJSON reads one JSON document as Python's json.loads does: keys stay in order, 1 and 1.0 stay different.
func parseJSON(data []byte) (value, error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	v, err := decode(dec, 0)
	if err != nil {
		return nil, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows the JSON document")
	}
	return v, nil
}

func decode(dec *json.Decoder, depth int) (value, error) {
	if depth > maxNesting {
		return nil, fmt.Errorf("JSON nested deeper than %d levels", maxNesting)
	}
	tok, err := dec.Token()
	if err != nil {
		return nil, err
	}
	switch t := tok.(type) {
	case json.Delim:
		if t == '[' {
			return decodeList(dec, depth)
		}
		return decodeDict(dec, depth)
	case json.Number:
		if i, err := strconv.ParseInt(t.String(), 10, 64); err == nil {
			return i, nil
		}
		return t.Float64()
	}
	return tok, nil // nil, bool, string
}

func decodeList(dec *json.Decoder, depth int) (value, error) {
	l := newList()
	for dec.More() {
		v, err := decode(dec, depth+1)
		if err != nil {
			return nil, err
		}
		l.items = append(l.items, v)
	}
	_, err := dec.Token()
	return l, err
}

func decodeDict(dec *json.Decoder, depth int) (value, error) {
	d := newDict()
	for dec.More() {
		k, err := dec.Token()
		if err != nil {
			return nil, err
		}
		v, err := decode(dec, depth+1)
		if err != nil {
			return nil, err
		}
		if err := d.set(k, v); err != nil {
			return nil, err
		}
	}
	_, err := dec.Token()
	return d, err
}

// jsonStyle are the arguments of json.dumps that transformers' tojson takes.
type jsonStyle struct {
	x              *exec
	indent         string // of one level; pretty says whether it counts
	pretty         bool
	comma, colon   string
	ascii, sortKey bool
}

// dump is json.dumps.
func (s jsonStyle) dump(b *strings.Builder, v value, depth int) error {
	if depth > maxNesting || b.Len() > maxText {
		return fmt.Errorf("%w: a value too large or nested too deeply for JSON", ErrLimit)
	}
	switch v := plain(v).(type) {
	case nil:
		b.WriteString("null")
	case bool:
		b.WriteString(strconv.FormatBool(v))
	case int64:
		b.WriteString(strconv.FormatInt(v, 10))
	case float64:
		b.WriteString(jsonFloat(v))
	case string:
		s.quote(b, v)
	case *list:
		if v.kind > aTuple && !(s.x.lenient && v.kind == aGenerator) {
			return fmt.Errorf("object of type %s is not JSON serializable", typeName(v))
		}
		return s.group(b, '[', ']', len(v.items), depth, func(i int) error { return s.dump(b, v.items[i], depth+1) })
	case *dict:
		return s.dumpDict(b, v, depth)
	default:
		return fmt.Errorf("object of type %s is not JSON serializable", typeName(v))
	}
	return nil
}

func (s jsonStyle) dumpDict(b *strings.Builder, d *dict, depth int) error {
	if s.sortKey {
		sorted, err := s.x.sortBy(d.pairs(), func(v value) value { return v.(*list).items[0] }, false)
		if err != nil {
			return err
		}
		d = newDict()
		for _, p := range sorted {
			_ = d.set(p.(*list).items[0], p.(*list).items[1]) // was hashed before
		}
	}
	return s.group(b, '{', '}', d.len(), depth, func(i int) error {
		switch k := d.keys[i].(type) {
		case string:
			s.quote(b, k)
		case nil, bool, int64, float64:
			b.WriteByte('"')
			_ = s.dump(b, k, depth) // plain values do not fail
			b.WriteByte('"')
		default:
			return fmt.Errorf("keys must be str, int, float, bool or None, not %s", typeName(k))
		}
		b.WriteString(s.colon)
		return s.dump(b, d.vals[i], depth+1)
	})
}

// group writes n items between brackets.
func (s jsonStyle) group(b *strings.Builder, open, end byte, n, depth int, item func(i int) error) error {
	b.WriteByte(open)
	line := func(depth int) {
		if s.pretty && n > 0 {
			b.WriteByte('\n')
			b.WriteString(strings.Repeat(s.indent, depth))
		}
	}
	for i := range n {
		if i > 0 {
			b.WriteString(s.comma)
		}
		line(depth + 1)
		if err := item(i); err != nil {
			return err
		}
	}
	line(depth)
	b.WriteByte(end)
	return nil
}

func jsonFloat(f float64) string {
	switch s := floatRepr(f); s {
	case "nan":
		return "NaN"
	case "inf":
		return "Infinity"
	case "-inf":
		return "-Infinity"
	default:
		return s
	}
}

// shortEscapes are those of one letter.
var shortEscapes = map[rune]string{'"': `\"`, '\\': `\\`, '\n': `\n`, '\r': `\r`, '\t': `\t`, '\f': `\f`, '\b': `\b`}

func (s jsonStyle) quote(b *strings.Builder, text string) {
	b.WriteByte('"')
	for _, r := range text {
		switch e, ok := shortEscapes[r]; {
		case ok:
			b.WriteString(e)
		case r < ' ' || s.ascii && r > '~' && r < 0x10000:
			fmt.Fprintf(b, `\u%04x`, r)
		case s.ascii && r >= 0x10000:
			fmt.Fprintf(b, `\u%04x\u%04x`, 0xd800+(r-0x10000)>>10, 0xdc00+(r-0x10000)&0x3ff)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
}
