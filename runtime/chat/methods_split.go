package chat

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// splitArgs are the separator (ok is false for white space) and the number of cuts, -1 for any.
func splitArgs(a args) (sep string, ok bool, cuts int, err error) {
	if err := a.takes("split", 0, 2, "sep", "maxsplit"); err != nil {
		return "", false, 0, err
	}
	switch v := a.arg(0, "sep", nil).(type) {
	case nil:
	case string:
		sep, ok = v, true
		if sep == "" {
			return "", false, 0, errors.New("empty separator")
		}
	default:
		return "", false, 0, fmt.Errorf("must be str or None, not %s", typeName(v))
	}
	n, _, isInt, _ := number(a.arg(1, "maxsplit", int64(-1)))
	if !isInt {
		return "", false, 0, errors.New("maxsplit must be an integer")
	}
	return sep, ok, int(max(min(n, 1<<30), -1)), nil
}

func (x *exec) strings(parts []string) (value, error) {
	if err := x.fits(16 * len(parts)); err != nil {
		return nil, err
	}
	l := newList()
	for _, p := range parts {
		l.items = append(l.items, p)
	}
	return l, nil
}

func split(x *exec, s string, a args) (value, error) {
	sep, ok, cuts, err := splitArgs(a)
	if err != nil {
		return nil, err
	}
	if ok {
		return x.strings(strings.SplitN(s, sep, cuts+min(1, cuts+1)))
	}
	var parts []string
	for s = strings.TrimLeftFunc(s, isSpace); s != ""; s = strings.TrimLeftFunc(s, isSpace) {
		end := strings.IndexFunc(s, isSpace)
		if end < 0 || len(parts) == cuts {
			parts = append(parts, s)
			break
		}
		parts, s = append(parts, s[:end]), s[end:]
	}
	return x.strings(parts)
}

func rsplit(x *exec, s string, a args) (value, error) {
	sep, ok, cuts, err := splitArgs(a)
	if err != nil {
		return nil, err
	}
	if !ok {
		s = strings.TrimRightFunc(s, isSpace)
	}
	var parts []string
	for cuts < 0 || len(parts) < cuts {
		i, n := strings.LastIndex(s, sep), len(sep)
		if !ok {
			if i = strings.LastIndexFunc(s, isSpace); i >= 0 {
				_, n = utf8.DecodeRuneInString(s[i:])
			}
		}
		if i < 0 {
			break
		}
		parts, s = append(parts, s[i+n:]), s[:i]
		if !ok {
			s = strings.TrimRightFunc(s, isSpace)
		}
	}
	if !ok {
		s = strings.TrimLeftFunc(s, isSpace)
	}
	if ok || s != "" {
		parts = append(parts, s)
	}
	slices.Reverse(parts)
	return x.strings(parts)
}

func splitLines(x *exec, s string, a args) (value, error) {
	if err := a.takes("splitlines", 0, 1, "keepends"); err != nil {
		return nil, err
	}
	keep := truth(a.arg(0, "keepends", false))
	var parts []string
	for s != "" {
		i := strings.IndexAny(s, "\n\r\v\f\x1c\x1d\x1e\u0085\u2028\u2029")
		if i < 0 {
			parts = append(parts, s)
			break
		}
		_, n := utf8.DecodeRuneInString(s[i:])
		if strings.HasPrefix(s[i:], "\r\n") {
			n = 2
		}
		line := s[:i]
		if keep {
			line = s[:i+n]
		}
		parts, s = append(parts, line), s[i+n:]
	}
	return x.strings(parts)
}

func replace(x *exec, s string, a args) (value, error) {
	if err := a.takes("replace", 2, 3, "count"); err != nil {
		return nil, err
	}
	var words [2]string
	for i := range words {
		w, ok := a.arg(i, "", nil).(string)
		if !ok {
			return nil, fmt.Errorf("replace() argument %d must be str, not %s", i+1, typeName(a.arg(i, "", nil)))
		}
		words[i] = w
	}
	n, _, isInt, _ := number(a.arg(2, "count", int64(-1)))
	if !isInt {
		return nil, errors.New("replace() count must be an integer")
	}
	if words[1] != "" {
		times := strings.Count(s, words[0])
		if times > 0 && len(words[1]) > x.limits.Output/times {
			return nil, x.fits(-1)
		}
		if err := x.fits(len(s) + times*len(words[1])); err != nil {
			return nil, err
		}
	}
	return strings.Replace(s, words[0], words[1], int(max(min(n, 1<<30), -1))), nil
}

// joinStrings is s.join(items), which takes nothing but strings.
func joinStrings(x *exec, s string, a args) (value, error) {
	if err := a.takes("join", 1, 1); err != nil {
		return nil, err
	}
	items, err := x.iterate(a.arg(0, "", nil))
	if err != nil {
		return nil, err
	}
	size := 0
	parts := make([]string, len(items))
	for i, it := range items {
		p, ok := it.(string)
		if !ok {
			return nil, fmt.Errorf("sequence item %d: expected str instance, %s found", i, typeName(it))
		}
		parts[i] = p
		if size += len(p) + len(s); size > x.limits.Output {
			return nil, x.fits(-1)
		}
	}
	return strings.Join(parts, s), x.fits(size)
}

func width(x *exec, a args) (int, error) {
	n, _, isInt, _ := number(a.arg(0, "width", nil))
	if !isInt {
		return 0, errors.New("the width must be an integer")
	}
	return int(max(0, min(n, int64(x.limits.Output)+1))), x.fits(int(max(0, min(n, int64(x.limits.Output)+1))))
}

func zfill(x *exec, s string, a args) (value, error) {
	n, err := width(x, a)
	if err != nil {
		return nil, err
	}
	zeros := strings.Repeat("0", max(0, n-utf8.RuneCountInString(s)))
	if s != "" && (s[0] == '-' || s[0] == '+') {
		return s[:1] + zeros + s[1:], nil
	}
	return zeros + s, nil
}

// padder is center, ljust and rjust; left is how much of the missing n goes before the text.
func padder(left func(n, width int) int) stringFunc {
	return func(x *exec, s string, a args) (value, error) {
		n, err := width(x, a)
		if err != nil {
			return nil, err
		}
		fill, ok := a.arg(1, "fillchar", " ").(string)
		if !ok || utf8.RuneCountInString(fill) != 1 {
			return nil, errors.New("the fill character must be exactly one character long")
		}
		missing := max(0, n-utf8.RuneCountInString(s))
		before := left(missing, n)
		return strings.Repeat(fill, before) + s + strings.Repeat(fill, missing-before), nil
	}
}
