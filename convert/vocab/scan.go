package vocab

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
)

// The functions here take JSON apart that encoding/json has found to be valid. A vocabulary has
// hundreds of thousands of entries, for which decoding by reflection is too slow.

// cutString reads the JSON string at the start of raw.
func cutString(raw []byte) (s string, rest []byte, err error) {
	if len(raw) == 0 || raw[0] != '"' {
		return "", nil, errors.New("not a string")
	}
	for end := 1; end < len(raw); end++ {
		switch raw[end] {
		case '\\':
			for end += 2; end < len(raw) && raw[end] != '"'; end++ {
				if raw[end] == '\\' {
					end++
				}
			}
			if end >= len(raw) {
				return "", nil, errors.New("string without an end")
			}
			err := json.Unmarshal(raw[:end+1], &s)
			return s, raw[end+1:], err
		case '"':
			return string(raw[1:end]), raw[end+1:], nil
		}
	}
	return "", nil, errors.New("string without an end")
}

// skipSpace drops leading white space.
func skipSpace(raw []byte) []byte {
	for len(raw) > 0 && (raw[0] == ' ' || raw[0] == '\n' || raw[0] == '\t' || raw[0] == '\r') {
		raw = raw[1:]
	}
	return raw
}

// scanIDs reads an object {text: id}; ok is false where it holds anything else.
func scanIDs(raw []byte) (ids map[string]int64, ok bool) {
	raw = skipSpace(raw)
	if len(raw) == 0 || raw[0] != '{' {
		return nil, false
	}
	ids = make(map[string]int64, bytes.Count(raw, []byte(":"))) // as many as there are, or some more
	for raw = skipSpace(raw[1:]); len(raw) > 0 && raw[0] == '"'; {
		key, rest, err := cutString(raw)
		rest = skipSpace(rest)
		if err != nil || len(rest) == 0 || rest[0] != ':' {
			return nil, false
		}
		rest = skipSpace(rest[1:])
		n := 0
		for n < len(rest) && (rest[n] == '-' || rest[n] >= '0' && rest[n] <= '9') {
			n++
		}
		id, err := strconv.ParseInt(string(rest[:n]), 10, 64)
		rest = skipSpace(rest[n:])
		if err != nil || len(rest) == 0 {
			return nil, false
		}
		ids[key] = id
		if rest[0] != ',' {
			raw = rest
			break
		}
		raw = skipSpace(rest[1:])
	}
	return ids, len(raw) > 0 && raw[0] == '}'
}

// elements cuts a list into its elements.
func elements(raw []byte) ([][]byte, error) {
	raw = skipSpace(raw)
	if len(raw) == 0 || raw[0] != '[' {
		return nil, errors.New("not a list")
	}
	var out [][]byte
	from, depth := 1, 0
	for i := 1; i < len(raw); i++ {
		switch raw[i] {
		case '"':
			for i++; i < len(raw) && raw[i] != '"'; i++ {
				if raw[i] == '\\' {
					i++
				}
			}
		case '[', '{':
			depth++
		case ',', ']', '}':
			if depth == 0 {
				if e := bytes.TrimSpace(raw[from:i]); len(e) > 0 {
					out = append(out, e)
				}
				from = i + 1
			}
			if raw[i] != ',' {
				depth--
			}
		}
	}
	return out, nil
}
