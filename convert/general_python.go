package convert

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode"

	"github.com/moeconv/moeconv/gguf"
)

// The reference is a Python program; these are Python's notions of characters and
// truth where Go's differ. A Python value is nil, bool, int64, float64, string,
// []byte, []any, map[string]any, json.Number (a number of a JSON file) or opaque.

// opaque is a value of a type that no key can hold, such as a date.
type opaque struct{ what string }

// isDecimal is str.isdecimal of one character.
func isDecimal(c rune) bool { return unicode.Is(unicode.Nd, c) }

// decimalValue is the digit's value: Unicode's decimal digits come in runs of ten from zero on.
func decimalValue(c rune) byte {
	for _, r := range unicode.Nd.R16 {
		if rune(r.Lo) <= c && c <= rune(r.Hi) {
			return byte((c - rune(r.Lo)) % 10)
		}
	}
	for _, r := range unicode.Nd.R32 {
		if rune(r.Lo) <= c && c <= rune(r.Hi) {
			return byte((c - rune(r.Lo)) % 10)
		}
	}
	return 0
}

// isPySpace is str.isspace, which counts the four separators 1c to 1f.
func isPySpace(c rune) bool { return unicode.IsSpace(c) || c >= 0x1c && c <= 0x1f }

// isCased says whether a character has case in Unicode's sense.
func isCased(c rune) bool {
	return unicode.IsUpper(c) || unicode.IsTitle(c) || isLowerRune(c) || unicode.Is(unicode.Other_Uppercase, c)
}

func isLowerRune(c rune) bool { return unicode.IsLower(c) || unicode.Is(unicode.Other_Lowercase, c) }

// isPyLower is str.islower.
func isPyLower(s string) bool {
	cased := false
	for _, c := range s {
		if isCased(c) {
			if !isLowerRune(c) {
				return false
			}
			cased = true
		}
	}
	return cased
}

// pyTitle is str.title: a capital wherever letters with case begin.
func pyTitle(s string) string {
	var b strings.Builder
	previous := false
	for _, c := range s {
		switch {
		case previous:
			b.WriteRune(unicode.ToLower(c))
		case c == 'ß': // the one such letter of living languages without a capital of its own in Unicode's tables
			b.WriteString("Ss")
		default:
			b.WriteRune(unicode.ToTitle(c))
		}
		previous = isCased(c)
	}
	return b.String()
}

// pyLines is str.splitlines of a text read with universal newlines.
func pyLines(s string) []string {
	s = strings.ReplaceAll(s, "\r\n", "\n")
	var lines []string
	start := 0
	for i, c := range s {
		switch c {
		case '\n', '\r', '\v', '\f', 0x1c, 0x1d, 0x1e, 0x85, 0x2028, 0x2029:
			lines = append(lines, s[start:i])
			start = i + len(string(c))
		}
	}
	if start < len(s) {
		lines = append(lines, s[start:])
	}
	return lines
}

// pyTruthy is Python's truth of a value.
func pyTruthy(v any) bool {
	switch v := v.(type) {
	case nil:
		return false
	case bool:
		return v
	case int64:
		return v != 0
	case float64:
		return v != 0
	case json.Number:
		f, err := v.Float64()
		return err != nil || f != 0
	case string:
		return v != ""
	case []byte:
		return len(v) > 0
	case []any:
		return len(v) > 0
	case map[string]any:
		return len(v) > 0
	}
	return true
}

// describeValue names a value in a message.
func describeValue(v any) string {
	switch v := v.(type) {
	case nil:
		return "empty"
	case opaque:
		return v.what
	case []any:
		return "a list"
	case map[string]any:
		return "a mapping"
	case string:
		return fmt.Sprintf("%q", v)
	}
	return fmt.Sprint(v)
}

// fileWord prepares a text for a file name: no space around it, hyphens for the characters of cut.
func fileWord(s, cut string) string {
	return strings.Map(func(c rune) rune {
		if strings.ContainsRune(cut, c) {
			return '-'
		}
		return c
	}, strings.TrimFunc(s, isPySpace))
}

func cardErrorf(file, format string, args ...any) error {
	return fmt.Errorf("convert: %s: %s", file, fmt.Sprintf(format, args...))
}

// pack is the value as the metadata stores it.
func (f cardField) pack() (any, error) {
	switch f.typ {
	case gguf.Uint32:
		return f.value, nil
	case gguf.Int32:
		n, ok := cardPackInt(f.value)
		if !ok {
			return nil, cardErrorf(f.file, "%s is %s, not an integer of 32 bits", f.key, describeValue(f.value))
		}
		return n, nil
	case gguf.Float32:
		x, ok := cardPackFloat(f.value)
		if !ok {
			return nil, cardErrorf(f.file, "%s is %s, not a number that fits 32 bits", f.key, describeValue(f.value))
		}
		return x, nil
	case gguf.String:
		s, ok := cardPackText(f.value)
		if !ok {
			return nil, cardErrorf(f.file, "%s is %s, not text (quote it)", f.key, describeValue(f.value))
		}
		return s, nil
	}
	return cardPackArray(f)
}

func cardPackText(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case []byte:
		return string(v), true
	}
	return "", false
}

// cardPackInt accepts what Python's int is: no 1.0, but true.
func cardPackInt(v any) (int32, bool) {
	switch v := v.(type) {
	case bool:
		if v {
			return 1, true
		}
		return 0, true
	case int64:
		return int32(v), v == int64(int32(v))
	case json.Number:
		n, err := strconv.ParseInt(v.String(), 10, 32)
		return int32(n), err == nil
	}
	return 0, false
}

// cardPackFloat goes by way of float64, as Python's struct does.
func cardPackFloat(v any) (float32, bool) {
	var x float64
	switch v := v.(type) {
	case bool:
		if v {
			x = 1
		}
	case int64:
		x = float64(v)
	case float64:
		x = v
	case json.Number:
		f, err := v.Float64()
		if err != nil && !strings.ContainsAny(v.String(), ".eE") {
			return 0, false
		}
		x = f // a literal beyond float64 is infinity in Python too
	default:
		return 0, false
	}
	y := float32(x)
	return y, !math.IsInf(float64(y), 0) || math.IsInf(x, 0)
}

// cardPackArray makes a list of one type: texts, integers, numbers or truth values.
func cardPackArray(f cardField) (any, error) {
	list := f.value.([]any)
	var err error
	switch list[0].(type) {
	case string, []byte:
		return cardPackList(f, list, cardPackText)
	case bool:
		return cardPackList(f, list, func(v any) (b, ok bool) { b, ok = v.(bool); return })
	case int64:
		return cardPackList(f, list, func(v any) (int32, bool) {
			if _, ok := v.(int64); !ok {
				return 0, false
			}
			return cardPackInt(v)
		})
	case float64:
		return cardPackList(f, list, func(v any) (float32, bool) {
			if _, ok := v.(float64); !ok {
				return 0, false
			}
			return cardPackFloat(v)
		})
	default:
		err = cardErrorf(f.file, "%s: element 0 is %s, not text", f.key, describeValue(list[0]))
	}
	return nil, err
}

func cardPackList[T any](f cardField, list []any, pack func(any) (T, bool)) (any, error) {
	out := make([]T, len(list))
	for i, v := range list {
		x, ok := pack(v)
		if !ok {
			return nil, cardErrorf(f.file, "%s: element %d is %s, of another kind than the elements before it (quote texts)", f.key, i, describeValue(v))
		}
		out[i] = x
	}
	return out, nil
}
