package chat

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode"
)

// str is Python's str(v), with undefined as nothing.
func str(v value) string {
	switch v := plain(v).(type) {
	case string:
		return v
	case undefined:
		return ""
	}
	return repr(v)
}

// maxText ends the writing of a value that holds others many times over; whoever prints or keeps it checks its length.
var maxText = 64 << 20

// repr is Python's repr(v).
func repr(v value) string {
	var b strings.Builder
	writeRepr(&b, v, 0)
	return b.String()
}

func writeRepr(b *strings.Builder, v value, depth int) {
	if depth > maxNesting || b.Len() > maxText {
		b.WriteString("...")
		return
	}
	switch v := plain(v).(type) {
	case nil:
		b.WriteString("None")
	case bool:
		b.WriteString(map[bool]string{true: "True", false: "False"}[v])
	case int64:
		b.WriteString(strconv.FormatInt(v, 10))
	case float64:
		b.WriteString(floatRepr(v))
	case string:
		quote(b, v)
	case undefined:
		b.WriteString("Undefined")
	case *list:
		reprList(b, v, depth)
	case *dict:
		reprDict(b, v, depth)
	case *namespace:
		b.WriteString("<Namespace ")
		reprDict(b, v.attrs, depth)
		b.WriteByte('>')
	case *function:
		fmt.Fprintf(b, "<function %s>", v.name)
	case *macro:
		fmt.Fprintf(b, "<Macro '%s'>", v.name)
	default:
		b.WriteString("<object>")
	}
}

func reprList(b *strings.Builder, l *list, depth int) {
	open, end := "[", "]"
	switch l.kind {
	case aTuple:
		open, end = "(", ")"
	case aView:
		open, end = l.what+"([", "])"
	case aGenerator, aRange:
		b.WriteString(l.what)
		return
	}
	b.WriteString(open)
	for i, it := range l.items {
		if i > 0 {
			b.WriteString(", ")
		}
		writeRepr(b, it, depth+1)
	}
	if l.kind == aTuple && len(l.items) == 1 {
		b.WriteByte(',')
	}
	b.WriteString(end)
}

func reprDict(b *strings.Builder, d *dict, depth int) {
	b.WriteByte('{')
	for i, k := range d.keys {
		if i > 0 {
			b.WriteString(", ")
		}
		writeRepr(b, k, depth+1)
		b.WriteString(": ")
		writeRepr(b, d.vals[i], depth+1)
	}
	b.WriteByte('}')
}

// quote writes a string as Python does: in single quotes unless only those occur in it.
func quote(b *strings.Builder, s string) {
	q := byte('\'')
	if strings.Contains(s, "'") && !strings.Contains(s, `"`) {
		q = '"'
	}
	b.WriteByte(q)
	for _, r := range s {
		switch {
		case r == rune(q) || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case r < ' ' || r == 0x7f:
			fmt.Fprintf(b, `\x%02x`, r)
		case r < 0x7f || unicode.IsPrint(r):
			b.WriteRune(r)
		case r < 0x100:
			fmt.Fprintf(b, `\x%02x`, r)
		case r < 0x10000:
			fmt.Fprintf(b, `\u%04x`, r)
		default:
			fmt.Fprintf(b, `\U%08x`, r)
		}
	}
	b.WriteByte(q)
}

// floatRepr is the shortest decimal that reads back as f, in Python's form.
func floatRepr(f float64) string {
	switch {
	case math.IsNaN(f):
		return "nan"
	case math.IsInf(f, 1):
		return "inf"
	case math.IsInf(f, -1):
		return "-inf"
	}
	if a := math.Abs(f); a != 0 && (a < 1e-4 || a >= 1e16) {
		return strconv.FormatFloat(f, 'e', -1, 64)
	}
	s := strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}
