package gguf

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// shortTypes are the names ParseValue takes besides those of ValueType.String, which may be in any case.
var shortTypes = map[string]ValueType{
	"u8": Uint8, "i8": Int8, "u16": Uint16, "i16": Int16, "u32": Uint32, "i32": Int32,
	"u64": Uint64, "i64": Int64, "f32": Float32, "f64": Float64, "bool": Bool, "str": String,
}

// ParseValue is the metadata value that text denotes as a value of type typ: u8
// to u64, i8 to i64 (decimal), f32, f64, bool (true, false), str (text as it
// is), or arr[TYPE] with text a JSON array; the types' names in the format
// (UINT32, STRING) will do too. It fails where text is not of the type or does
// not fit it, and on text that is not UTF-8 or holds a zero byte, which C
// programs would cut.
func ParseValue(typ, text string) (any, error) {
	if !utf8.ValidString(text) {
		return nil, fmt.Errorf("gguf: value of type %s is not UTF-8", typ)
	}
	if strings.IndexByte(text, 0) >= 0 {
		return nil, fmt.Errorf("gguf: value of type %s holds a zero byte", typ)
	}
	return parseValue(strings.ToLower(typ), text, 0)
}

func parseValue(typ, text string, depth int) (any, error) {
	if elem, ok := strings.CutPrefix(typ, "arr["); ok && strings.HasSuffix(elem, "]") {
		return parseArray(strings.TrimSuffix(elem, "]"), text, depth+1)
	}
	t, ok := scalarTypeNamed(typ)
	if !ok {
		return nil, fmt.Errorf("gguf: unknown value type %q: want u8, i8, u16, i16, u32, i32, u64, i64, f32, f64, bool, str or arr[TYPE]", typ)
	}
	return parseScalar(t, text)
}

func scalarTypeNamed(name string) (ValueType, bool) {
	if t, ok := shortTypes[name]; ok {
		return t, true
	}
	for i, n := range valueTypeNames {
		if t := ValueType(i); t != ArrayType && strings.EqualFold(n, name) {
			return t, true
		}
	}
	return 0, false
}

// parseScalar reads one value that is no array.
func parseScalar(t ValueType, text string) (any, error) {
	switch t {
	case String:
		return text, nil
	case Bool:
		switch text {
		case "true":
			return true, nil
		case "false":
			return false, nil
		}
		return nil, fmt.Errorf("gguf: %q is no bool: want true or false", text)
	case Float32, Float64:
		return parseFloat(t, text)
	case Int8, Int16, Int32, Int64:
		n, err := strconv.ParseInt(text, 10, 8*scalarSize(t))
		if err != nil {
			return nil, numberError(t, text, err)
		}
		return signed(t, n), nil
	}
	n, err := strconv.ParseUint(text, 10, 8*scalarSize(t))
	if err != nil {
		return nil, numberError(t, text, err)
	}
	return unsigned(t, n), nil
}

// parseFloat reads a float; a float32 by way of float64, as programs do that read JSON.
func parseFloat(t ValueType, text string) (any, error) {
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return nil, numberError(t, text, err)
	}
	if t == Float64 {
		return f, nil
	}
	if math.IsInf(float64(float32(f)), 0) && !math.IsInf(f, 0) {
		return nil, numberError(t, text, strconv.ErrRange)
	}
	return float32(f), nil
}

func numberError(t ValueType, text string, err error) error {
	if n, ok := err.(*strconv.NumError); ok {
		err = n.Err
	}
	if err == strconv.ErrRange {
		return fmt.Errorf("gguf: %.80q is out of range for %v", text, t)
	}
	return fmt.Errorf("gguf: %.80q is no %v", text, t)
}

func signed(t ValueType, n int64) any {
	switch t {
	case Int8:
		return int8(n)
	case Int16:
		return int16(n)
	case Int32:
		return int32(n)
	}
	return n
}

func unsigned(t ValueType, n uint64) any {
	switch t {
	case Uint8:
		return uint8(n)
	case Uint16:
		return uint16(n)
	case Uint32:
		return uint32(n)
	}
	return n
}

// parseArray reads a JSON array of elements of one type.
func parseArray(elem, text string, depth int) (any, error) {
	if depth > maxNesting {
		return nil, fmt.Errorf("gguf: arrays nested more than %d deep", maxNesting)
	}
	var raw []json.RawMessage
	if err := json.Unmarshal([]byte(text), &raw); err != nil || raw == nil {
		return nil, fmt.Errorf("gguf: %.80q is no JSON array", text)
	}
	if strings.HasPrefix(elem, "arr[") {
		out := make(Array, len(raw))
		for i, r := range raw {
			v, err := parseValue(elem, string(r), depth)
			if err != nil {
				return nil, fmt.Errorf("element %d: %w", i, err)
			}
			out[i] = v
		}
		return out, nil
	}
	t, ok := scalarTypeNamed(elem)
	if !ok {
		return nil, fmt.Errorf("gguf: unknown type %q of an array's elements", elem)
	}
	return parseElements(t, raw)
}

// parseElements makes the slice that holds an array of scalars.
func parseElements(t ValueType, raw []json.RawMessage) (any, error) {
	switch t {
	case Uint8:
		return parseSlice[uint8](t, raw)
	case Int8:
		return parseSlice[int8](t, raw)
	case Uint16:
		return parseSlice[uint16](t, raw)
	case Int16:
		return parseSlice[int16](t, raw)
	case Uint32:
		return parseSlice[uint32](t, raw)
	case Int32:
		return parseSlice[int32](t, raw)
	case Uint64:
		return parseSlice[uint64](t, raw)
	case Int64:
		return parseSlice[int64](t, raw)
	case Float32:
		return parseSlice[float32](t, raw)
	case Float64:
		return parseSlice[float64](t, raw)
	case Bool:
		return parseSlice[bool](t, raw)
	}
	return parseSlice[string](t, raw)
}

func parseSlice[T any](t ValueType, raw []json.RawMessage) (any, error) {
	out := make([]T, len(raw))
	for i, r := range raw {
		text := string(r)
		if quoted := strings.HasPrefix(text, `"`); quoted != (t == String) {
			return nil, fmt.Errorf("element %d: gguf: %.80s is no %v", i, text, t)
		} else if quoted {
			if err := json.Unmarshal(r, &text); err != nil {
				return nil, fmt.Errorf("element %d: gguf: %w", i, err)
			}
		}
		v, err := parseScalar(t, text)
		if err != nil {
			return nil, fmt.Errorf("element %d: %w", i, err)
		}
		out[i] = v.(T)
	}
	return out, nil
}
