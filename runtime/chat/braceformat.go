package chat

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// braceFormat is str.format with fields {}, {0}, {name}, their attributes and items, conversions and format specs.
func (x *exec) braceFormat(s string, a args) (value, error) {
	var b strings.Builder
	next := int64(0)
	for i := 0; i < len(s); i++ {
		c := s[i]
		if i+1 < len(s) && (c == '{' || c == '}') && s[i+1] == c {
			b.WriteByte(c)
			i++
			continue
		}
		switch c {
		case '}':
			return nil, errors.New("single '}' encountered in format string")
		case '{':
			end := strings.IndexByte(s[i:], '}')
			if end < 0 {
				return nil, errors.New("expected '}' before end of string")
			}
			text, err := x.field(s[i+1:i+end], a, &next)
			if err != nil {
				return nil, err
			}
			if err := x.fits(b.Len() + len(text)); err != nil {
				return nil, err
			}
			b.WriteString(text)
			i += end
		default:
			b.WriteByte(c)
		}
	}
	return b.String(), nil
}

func (x *exec) field(f string, a args, next *int64) (string, error) {
	f, layout, _ := strings.Cut(f, ":")
	f, conv, converted := strings.Cut(f, "!")
	v, err := fieldValue(f, a, next)
	if err != nil {
		return "", err
	}
	if converted {
		switch conv {
		case "r", "a":
			v = repr(v)
		case "s":
			v = str(v)
		default:
			return "", fmt.Errorf("unknown conversion specifier '%s'", conv)
		}
	}
	p, err := parseSpec(layout)
	if err != nil {
		return "", err
	}
	return p.layOut(v)
}

// fieldValue finds what a field's name stands for.
func fieldValue(f string, a args, next *int64) (value, error) {
	first := f
	if i := strings.IndexAny(f, ".["); i >= 0 {
		first = f[:i]
	}
	rest := f[len(first):]
	var v value
	if first == "" {
		first = strconv.FormatInt(*next, 10)
		*next++
	}
	if i, err := strconv.Atoi(first); err == nil {
		if i < 0 || i >= len(a.pos) {
			return nil, fmt.Errorf("replacement index %d out of range for positional args tuple", i)
		}
		v = a.pos[i]
	} else {
		var ok bool
		if v, ok = a.kw(first); !ok {
			return nil, fmt.Errorf("key %s is missing", repr(first))
		}
	}
	for rest != "" {
		var k value
		if rest[0] == '[' {
			end := strings.IndexByte(rest, ']')
			if end < 0 {
				return nil, errors.New("missing ']' in format string")
			}
			k, rest = rest[1:end], rest[end+1:]
			if i, err := strconv.ParseInt(k.(string), 10, 64); err == nil {
				k = i
			}
		} else {
			end := strings.IndexAny(rest[1:], ".[") + 1
			if end == 0 {
				end = len(rest)
			}
			k, rest = rest[1:end], rest[end:]
		}
		var err error
		if v, err = item(v, k); err != nil {
			return nil, err
		}
	}
	return v, nil
}

// parseSpec reads [[fill]align][sign][#][0][width][,][.precision][type].
func parseSpec(s string) (p spec, err error) {
	p.fill = " "
	if _, n := utf8.DecodeRuneInString(s); n > 0 && n < len(s) && strings.IndexByte("<>^=", s[n]) >= 0 {
		p.fill, p.align, s = s[:n], s[n], s[n+1:]
	} else if s != "" && strings.IndexByte("<>^=", s[0]) >= 0 {
		p.align, s = s[0], s[1:]
	}
	if s != "" && strings.IndexByte("+- ", s[0]) >= 0 {
		if s[0] != '-' {
			p.sign = s[0]
		}
		s = s[1:]
	}
	if strings.HasPrefix(s, "#") {
		p.alt, s = true, s[1:]
	}
	if strings.HasPrefix(s, "0") {
		p.zero, s = true, s[1:]
	}
	n := 0
	if p.width, n, err = digits(s, 0); err != nil {
		return p, err
	}
	s = s[n:]
	if strings.HasPrefix(s, ",") {
		p.comma, s = true, s[1:]
	}
	if strings.HasPrefix(s, ".") {
		p.hasPrec = true
		if p.prec, n, err = digits(s, 1); err != nil {
			return p, err
		}
		s = s[n:]
	}
	switch len(s) {
	case 0:
	case 1:
		p.conv = s[0]
	default:
		return p, errors.New("invalid format specifier")
	}
	return p, nil
}

func (p spec) layOut(v value) (string, error) {
	i, f, isInt, ok := number(v)
	if _, isBool := v.(bool); !ok || isBool && p.conv == 0 {
		s := str(v)
		if p.conv != 0 && p.conv != 's' {
			return "", fmt.Errorf("unknown format code '%c' for object of type '%s'", p.conv, typeName(v))
		}
		if p.hasPrec {
			s = string([]rune(s)[:min(p.prec, utf8.RuneCountInString(s))])
		}
		return p.pad(s, '<'), nil
	}
	switch p.conv {
	case 0:
		if isInt {
			p.conv = 'd'
			return p.integer(i), nil
		}
		if !p.hasPrec {
			s := floatRepr(f)
			return p.signed(strings.TrimPrefix(s, "-"), s[0] == '-'), nil
		}
		p.conv = 'g'
		return p.float(f), nil
	case 'd', 'x', 'X', 'o', 'b':
		if isInt {
			return p.integer(i), nil
		}
	case 'f', 'F', 'e', 'E', 'g', 'G':
		return p.float(f), nil
	case '%':
		p.conv = 'f'
		s := p.float(f * 100)
		return s + "%", nil
	}
	return "", fmt.Errorf("unknown format code '%c' for object of type '%s'", p.conv, typeName(v))
}
