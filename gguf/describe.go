package gguf

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"unicode/utf8"
)

// Longer values than these are described by length and hash.
const (
	longArray  = 32  // elements
	longString = 600 // characters
)

// KeyValue describes one metadata entry for JSON. Long arrays and strings have
// Len and SHA256 in place of Value, so that entries of two files can be compared
// whatever their size. The hash of a string is that of its UTF-8 bytes; the hash
// of an array is that of its compact JSON (non-ASCII characters as they are),
// with floats replaced by their float32 bit patterns as unsigned integers.
type KeyValue struct {
	Key    string  `json:"key"`
	Type   string  `json:"type"`            // UINT32, STRING, ARRAY ...
	Elem   string  `json:"elem,omitempty"`  // type of an array's elements
	Value  any     `json:"value,omitempty"` // NaN and infinities as the strings NaN, Infinity, -Infinity
	Bits   *uint32 `json:"bits,omitempty"`  // bit pattern of a FLOAT32
	Len    *int    `json:"len,omitempty"`   // elements of an array, bytes of a long string
	SHA256 string  `json:"sha256,omitempty"`
}

// Describe lists md's entries in file order.
func Describe(md *Metadata) []KeyValue {
	out := make([]KeyValue, 0, md.Len())
	for k, v := range md.All() {
		out = append(out, describe(k, v))
	}
	return out
}

func describe(key string, v any) KeyValue {
	t, elem, _ := TypeOf(v)
	kv := KeyValue{Key: key, Type: t.String()}
	switch v := v.(type) {
	case float32:
		bits := math.Float32bits(v)
		kv.Bits, kv.Value = &bits, plain(v)
		return kv
	case string:
		if utf8.RuneCountInString(v) <= longString {
			kv.Value = v
			return kv
		}
		n := len(v)
		kv.Len, kv.SHA256 = &n, hexSum([]byte(v))
		return kv
	}
	if t != ArrayType {
		kv.Value = plain(v)
		return kv
	}
	n := sliceLen(v)
	kv.Elem, kv.Len = elem.String(), &n
	if n <= longArray {
		kv.Value = plain(v)
		return kv
	}
	kv.SHA256 = hexSum(appendCanonical(nil, v))
	return kv
}

func hexSum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

// sliceLen is the number of elements of a metadata array.
func sliceLen(v any) int { return reflect.ValueOf(v).Len() }

// elements is a metadata array as a slice of any.
func elements(v any) []any {
	r := reflect.ValueOf(v)
	out := make([]any, r.Len())
	for i := range out {
		out[i] = r.Index(i).Interface()
	}
	return out
}

// plain is v as package json can encode it: no NaN, no bytes as base64, float32 with the digits of its exact value.
func plain(v any) any {
	switch v := v.(type) {
	case float32:
		return plain(float64(v))
	case float64:
		switch {
		case math.IsNaN(v):
			return "NaN"
		case math.IsInf(v, 1):
			return "Infinity"
		case math.IsInf(v, -1):
			return "-Infinity"
		}
		return v
	}
	if t, _, _ := TypeOf(v); t != ArrayType {
		return v
	}
	out := elements(v)
	for i := range out {
		out[i] = plain(out[i])
	}
	return out
}

// appendCanonical appends v as KeyValue.SHA256 hashes it. Package json would
// escape U+2028 and others, which the definition does not.
func appendCanonical(b []byte, v any) []byte {
	switch v := v.(type) {
	case string:
		return appendQuoted(b, v)
	case float32:
		return strconv.AppendUint(b, uint64(math.Float32bits(v)), 10)
	case float64:
		return appendCanonical(b, float32(v))
	}
	if t, _, _ := TypeOf(v); t != ArrayType {
		return fmt.Append(b, v)
	}
	b = append(b, '[')
	for i, e := range elements(v) {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendCanonical(b, e)
	}
	return append(b, ']')
}

// appendQuoted appends s as a JSON string in which only quotes, backslashes and control characters are escaped.
func appendQuoted(b []byte, s string) []byte {
	b = append(b, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c == '\n':
			b = append(b, `\n`...)
		case c == '\r':
			b = append(b, `\r`...)
		case c == '\t':
			b = append(b, `\t`...)
		case c == '\b':
			b = append(b, `\b`...)
		case c == '\f':
			b = append(b, `\f`...)
		case c < 0x20:
			b = fmt.Appendf(b, `\u%04x`, c)
		default:
			b = append(b, c)
		}
	}
	return append(b, '"')
}
