package safetensors

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
)

// entry is one tensor of a header as found by scanHeader.
type entry struct {
	name     string
	dtype    DType
	from, to int // where the dtype stands in the header, quotes included
}

// scanHeader checks what the library does not (repeated names, where the last
// would win silently; other fields; signs) and finds the dtypes it does not know.
func scanHeader(file string, text []byte) ([]entry, error) {
	var entries []entry
	err := scanObject(text, func(key string, value []byte, at int) error {
		if key == "__metadata__" {
			return checkNotes(file, value)
		}
		e, err := scanEntry(file, key, value, at)
		if err != nil {
			return err
		}
		entries = append(entries, e)
		return nil
	})
	var bad *FormatError
	var dup *repeatedKeyError
	switch {
	case err == nil:
		return entries, nil
	case errors.As(err, &bad):
		return nil, err
	case errors.As(err, &dup):
		return nil, tensorErrorf(file, dup.key, "is twice in the header")
	}
	return nil, fileErrorf(file, "header is not valid JSON: %v", err)
}

// checkNotes checks __metadata__, free text by the program that wrote the file.
func checkNotes(file string, value []byte) error {
	if bytes.Equal(value, []byte("null")) {
		return nil
	}
	err := scanObject(value, func(key string, v []byte, _ int) error {
		if v[0] != '"' {
			return fmt.Errorf("%q is not a string", key)
		}
		return nil
	})
	if err != nil {
		return fileErrorf(file, "header: __metadata__: %v", err)
	}
	return nil
}

func scanEntry(file, name string, value []byte, at int) (entry, error) {
	e := entry{name: name}
	seen := 0
	err := scanObject(value, func(key string, v []byte, off int) error {
		seen++
		switch key {
		case "dtype":
			var s string
			if err := json.Unmarshal(v, &s); err != nil || v[0] != '"' {
				return fmt.Errorf("dtype %s is not a string", clip(v))
			}
			e.dtype, e.from, e.to = DType(s), at+off, at+off+len(v)
		case "shape":
			return checkNumbers("invalid shape", v, -1)
		case "data_offsets":
			return checkNumbers("invalid data_offsets", v, 2)
		default:
			return fmt.Errorf("unknown field %q", key)
		}
		return nil
	})
	switch {
	case err != nil:
		return e, tensorErrorf(file, name, "%v", err)
	case seen != 3:
		return e, tensorErrorf(file, name, "needs dtype, shape and data_offsets, has %s", clip(value))
	case e.dtype.Bits() == 0:
		return e, tensorErrorf(file, name, "unknown dtype %s", e.dtype)
	}
	return e, nil
}

// checkNumbers checks a list of want natural numbers (any number of them when want is negative).
func checkNumbers(what string, value []byte, want int) error {
	var ns []json.RawMessage
	if err := json.Unmarshal(value, &ns); err != nil || value[0] != '[' {
		return fmt.Errorf("%s %s: not a list", what, clip(value))
	}
	if want >= 0 && len(ns) != want {
		return fmt.Errorf("%s %s: not %d numbers", what, clip(value), want)
	}
	for _, n := range ns {
		if _, err := strconv.ParseUint(string(n), 10, 64); err != nil {
			return fmt.Errorf("%s %s: %s is not a natural number of 64 bits", what, clip(value), clip(n))
		}
	}
	return nil
}

// clip shortens a value for a message.
func clip(v []byte) string {
	const limit = 80
	if len(v) > limit {
		return string(bytes.ToValidUTF8(v[:limit], nil)) + "..."
	}
	return string(v)
}

type repeatedKeyError struct{ key string }

func (e *repeatedKeyError) Error() string { return fmt.Sprintf("key %q is given twice", e.key) }

// scanObject calls f with the key, the text of the value and its position in text
// for each member of the one object that text holds. Repeated keys are an error.
func scanObject(text []byte, f func(key string, value []byte, at int) error) error {
	dec := json.NewDecoder(bytes.NewReader(text))
	if tok, err := dec.Token(); err != nil {
		return jsonError(err)
	} else if tok != json.Delim('{') {
		return errors.New("not an object")
	}
	seen := map[string]bool{}
	for dec.More() {
		tok, err := dec.Token()
		if err != nil {
			return jsonError(err)
		}
		key := tok.(string) // the decoder gives nothing else in this place
		if seen[key] {
			return &repeatedKeyError{key}
		}
		seen[key] = true
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return jsonError(err)
		}
		if err := f(key, value, int(dec.InputOffset())-len(value)); err != nil {
			return err
		}
	}
	if _, err := dec.Token(); err != nil {
		return jsonError(err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("more text after the object (at byte %d)", dec.InputOffset())
	}
	return nil
}

func jsonError(err error) error {
	var s *json.SyntaxError
	switch {
	case errors.As(err, &s):
		return fmt.Errorf("%w (at byte %d)", err, s.Offset)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("unexpected end of text")
	}
	return err
}

// aliasDTypes writes U8 for each dtype that the library's parser would refuse;
// sizes are checked with the real one.
func aliasDTypes(text []byte, entries []entry) []byte {
	entries = slices.DeleteFunc(slices.Clone(entries), func(e entry) bool { return knownToLibrary(e.dtype) })
	if len(entries) == 0 {
		return text
	}
	out := make([]byte, 0, len(text))
	done := 0
	for _, e := range entries { // in the order of the text
		out = append(out, text[done:e.from]...)
		out = append(out, `"U8"`...)
		done = e.to
	}
	return append(out, text[done:]...)
}
