package probe

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// pyToken is a word, number, string, sign or blank of a Python source.
type pyToken struct {
	kind pyKind
	text string
}

type pyKind uint8

const (
	pyName pyKind = iota
	pyNumber
	pyString
	pySign
	pyBlank   // spaces, comments, joined lines, ends of lines within brackets
	pyNewline // the end of a statement's line
)

// pyTokens cuts a source into tokens that make it up again. It fails at a string that has no end.
func pyTokens(src string) ([]pyToken, error) {
	var out []pyToken
	depth := 0
	for at := 0; at < len(src); {
		t, err := pyNext(src[at:], depth)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", 1+strings.Count(src[:at], "\n"), err)
		}
		switch t.text {
		case "(", "[", "{":
			depth++
		case ")", "]", "}":
			depth = max(0, depth-1)
		}
		out = append(out, t)
		at += len(t.text)
	}
	return out, nil
}

func pyNext(s string, depth int) (pyToken, error) {
	r, size := utf8.DecodeRuneInString(s)
	switch {
	case r == '\n' && depth == 0:
		return pyToken{pyNewline, "\n"}, nil
	case r == '#':
		return pyToken{pyBlank, s[:len(s)-len(after(s, func(r rune) bool { return r != '\n' }))]}, nil
	case unicode.IsSpace(r):
		return pyToken{pyBlank, s[:size]}, nil
	case strings.HasPrefix(s, "\\\n"):
		return pyToken{pyBlank, s[:2]}, nil
	case pyQuote(s) >= 0:
		n, err := pyStringLen(s, pyQuote(s))
		return pyToken{pyString, s[:n]}, err
	case unicode.IsLetter(r) || r == '_':
		return pyToken{pyName, s[:len(s)-len(after(s, wordRune))]}, nil
	case '0' <= r && r <= '9':
		return pyToken{pyNumber, s[:len(s)-len(after(s, func(r rune) bool { return wordRune(r) || r == '.' }))]}, nil
	}
	for _, sign := range []string{":=", "**=", "**", "->", "==", "!=", "<=", ">=", "//=", "//", "+=", "-=", "*=", "/="} {
		if strings.HasPrefix(s, sign) {
			return pyToken{pySign, sign}, nil
		}
	}
	return pyToken{pySign, s[:size]}, nil
}

func after(s string, in func(rune) bool) string { return strings.TrimLeftFunc(s, in) }

func wordRune(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) || r == '_' }

// pyQuote is the index of the quote that begins a string at s, after its prefix of at most two letters; -1: none.
func pyQuote(s string) int {
	i := 0
	for i < len(s) && i < 2 && strings.IndexByte("rRbBuUfF", s[i]) >= 0 {
		i++
	}
	if i < len(s) && (s[i] == '"' || s[i] == '\'') {
		return i
	}
	return -1
}

func pyStringLen(s string, quote int) (int, error) {
	end := s[quote : quote+1]
	if strings.HasPrefix(s[quote:], strings.Repeat(end, 3)) {
		end = strings.Repeat(end, 3)
	}
	for i := quote + len(end); i < len(s); i++ {
		switch {
		case s[i] == '\\':
			i++
		case strings.HasPrefix(s[i:], end):
			return i + len(end), nil
		case s[i] == '\n' && len(end) == 1:
			return len(s), fmt.Errorf("a string has no end")
		}
	}
	return len(s), fmt.Errorf("a string has no end")
}
