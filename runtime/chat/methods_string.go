package chat

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// stringMethods are str's methods; s is the string they are called on.
var stringMethods map[string]stringFunc

func init() { // not a literal: format refers to it
	stringMethods = map[string]stringFunc{
		"strip":        stripper(strings.Trim, strings.TrimFunc),
		"lstrip":       stripper(strings.TrimLeft, strings.TrimLeftFunc),
		"rstrip":       stripper(strings.TrimRight, strings.TrimRightFunc),
		"upper":        mapper(upper),
		"lower":        mapper(strings.ToLower),
		"casefold":     mapper(strings.ToLower),
		"title":        mapper(titled),
		"capitalize":   mapper(capitalized),
		"swapcase":     mapper(func(s string) string { return strings.Map(swapCase, s) }),
		"isdigit":      every(unicode.IsDigit),
		"isdecimal":    every(unicode.IsDigit),
		"isnumeric":    every(unicode.IsNumber),
		"isalpha":      every(unicode.IsLetter),
		"isalnum":      every(func(r rune) bool { return unicode.IsLetter(r) || unicode.IsNumber(r) }),
		"isspace":      every(unicode.IsSpace),
		"isupper":      cased(unicode.IsUpper, unicode.IsLower),
		"islower":      cased(unicode.IsLower, unicode.IsUpper),
		"startswith":   affix(strings.HasPrefix),
		"endswith":     affix(strings.HasSuffix),
		"removeprefix": twoStrings("removeprefix", func(s, p string) value { return strings.TrimPrefix(s, p) }),
		"removesuffix": twoStrings("removesuffix", func(s, p string) value { return strings.TrimSuffix(s, p) }),
		"count":        twoStrings("count", func(s, p string) value { return int64(strings.Count(s, p)) }),
		"find":         twoStrings("find", func(s, p string) value { return runeIndex(s, strings.Index(s, p)) }),
		"rfind":        twoStrings("rfind", func(s, p string) value { return runeIndex(s, strings.LastIndex(s, p)) }),
		"index":        stringIndex,
		"partition":    twoStrings("partition", partition),
		"rpartition":   twoStrings("rpartition", rpartition),
		"split":        split,
		"rsplit":       rsplit,
		"splitlines":   splitLines,
		"replace":      replace,
		"join":         func(x *exec, s string, a args) (value, error) { return joinStrings(x, s, a) },
		"format":       func(x *exec, s string, a args) (value, error) { return x.braceFormat(s, a) },
		"zfill":        zfill,
		"center":       padder(func(n, width int) int { return n/2 + n&width&1 }),
		"ljust":        padder(func(int, int) int { return 0 }),
		"rjust":        padder(func(n, _ int) int { return n }),
	}
}

func stringMethod(s, name string) (value, bool) {
	m, ok := stringMethods[name]
	if !ok {
		return nil, false
	}
	return &function{name, func(x *exec, a args) (value, error) {
		if err := x.fits(len(s)); err != nil { // every method may copy
			return nil, err
		}
		return m(x, s, a)
	}}, true
}

type stringFunc = func(x *exec, s string, a args) (value, error)

func mapper(f func(string) string) stringFunc {
	return func(_ *exec, s string, a args) (value, error) { return f(s), a.takes("method", 0, 0) }
}

func every(f func(rune) bool) stringFunc {
	return func(_ *exec, s string, a args) (value, error) {
		return s != "" && strings.IndexFunc(s, func(r rune) bool { return !f(r) }) < 0, a.takes("method", 0, 0)
	}
}

// cased is islower and isupper: some letter of that case, none of the other.
func cased(want, not func(rune) bool) stringFunc {
	return func(_ *exec, s string, a args) (value, error) {
		return strings.IndexFunc(s, want) >= 0 && strings.IndexFunc(s, not) < 0, a.takes("method", 0, 0)
	}
}

// stripper is strip of given characters, or of white space.
func stripper(chars func(s, set string) string, space func(string, func(rune) bool) string) stringFunc {
	return func(_ *exec, s string, a args) (value, error) {
		if err := a.takes("strip", 0, 1); err != nil {
			return nil, err
		}
		switch set := a.arg(0, "chars", nil).(type) {
		case nil:
			return space(s, isSpace), nil
		case string:
			return chars(s, set), nil
		}
		return nil, errors.New("strip arg must be None or str")
	}
}

// isSpace is Python's str.isspace of one character.
func isSpace(r rune) bool { return unicode.IsSpace(r) || r >= 0x1c && r <= 0x1f }

func swapCase(r rune) rune {
	if unicode.IsUpper(r) {
		return unicode.ToLower(r)
	}
	return unicode.ToUpper(r)
}

// upper is str.upper, which makes two letters of a sharp s.
func upper(s string) string { return strings.ReplaceAll(strings.ToUpper(s), "ß", "SS") }

// titled puts every letter that follows none in upper case, the others in lower.
func titled(s string) string {
	inWord := false
	return strings.Map(func(r rune) rune {
		was := inWord
		inWord = unicode.IsLetter(r)
		if was {
			return unicode.ToLower(r)
		}
		return unicode.ToTitle(r)
	}, s)
}

func capitalized(s string) string {
	r, n := utf8.DecodeRuneInString(s)
	if n == 0 {
		return s
	}
	return string(unicode.ToTitle(r)) + strings.ToLower(s[n:])
}

// affix is startswith and endswith, of one string or any of a tuple.
func affix(has func(s, part string) bool) stringFunc {
	return func(x *exec, s string, a args) (value, error) {
		if err := a.takes("startswith", 1, 1); err != nil {
			return nil, err
		}
		parts := []value{a.pos[0]}
		if l, ok := a.pos[0].(*list); ok && l.kind == aTuple {
			parts = l.items
		}
		for _, p := range parts {
			part, ok := p.(string)
			if !ok {
				return nil, fmt.Errorf("first arg must be str or a tuple of str, not %s", typeName(p))
			}
			if has(s, part) {
				return true, nil
			}
		}
		return false, nil
	}
}

func twoStrings(name string, f func(s, arg string) value) stringFunc {
	return func(_ *exec, s string, a args) (value, error) {
		if err := a.takes(name, 1, 1); err != nil {
			return nil, err
		}
		p, ok := a.arg(0, "", nil).(string)
		if !ok {
			return nil, fmt.Errorf("%s() argument must be str, not %s", name, typeName(a.arg(0, "", nil)))
		}
		return f(s, p), nil
	}
}

// runeIndex turns an index of bytes into one of characters.
func runeIndex(s string, i int) value {
	if i < 0 {
		return int64(-1)
	}
	return int64(utf8.RuneCountInString(s[:i]))
}

func stringIndex(x *exec, s string, a args) (value, error) {
	v, err := stringMethods["find"](x, s, a)
	if err == nil && v == int64(-1) {
		return nil, errors.New("substring not found")
	}
	return v, err
}

func partition(s, sep string) value {
	if before, after, ok := strings.Cut(s, sep); ok {
		return tuple(before, sep, after)
	}
	return tuple(s, "", "")
}

func rpartition(s, sep string) value {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return tuple(s[:i], sep, s[i+len(sep):])
	}
	return tuple("", "", s)
}
