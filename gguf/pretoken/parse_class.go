package pretoken

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// class reads [...], at whose bracket p stands.
func (p *parser) class() (set, error) {
	p.rest = p.rest[1:]
	negated := p.take("^")
	var list []set
	var also set
	for first := true; ; first = false {
		switch {
		case p.rest == "" || p.rest[0] == '[' || first && p.rest[0] == ']':
			return nil, errBeyond
		case p.take("]"):
			s := anyOf(list)
			if also != nil {
				s = both(s, also)
			}
			if negated {
				s = not(s)
			}
			return s, nil
		case p.take("&&"):
			if also != nil || !strings.HasPrefix(p.rest, "[") || len(list) == 0 {
				return nil, errBeyond
			}
			var err error
			if also, err = p.class(); err != nil {
				return nil, err
			}
			if !strings.HasPrefix(p.rest, "]") {
				return nil, errBeyond
			}
		default:
			s, err := p.classItem()
			if err != nil {
				return nil, err
			}
			list = append(list, s)
		}
	}
}

// classItem reads a character, a range or an escape of a class.
func (p *parser) classItem() (set, error) {
	lo, s, err := p.char()
	if s != nil || err != nil {
		return s, err
	}
	if !strings.HasPrefix(p.rest, "-") || strings.HasPrefix(p.rest, "-]") {
		return only(lo), nil
	}
	p.rest = p.rest[1:]
	if p.rest == "" || p.rest[0] == '[' {
		return nil, errBeyond
	}
	hi, s, err := p.char()
	if err != nil || s != nil || hi < lo {
		return nil, errBeyond
	}
	return between(lo, hi), nil
}

// char reads one character, or an escape that stands for a set.
func (p *parser) char() (rune, set, error) {
	if !p.take(`\`) {
		r, n := utf8.DecodeRuneInString(p.rest)
		p.rest = p.rest[n:]
		return r, nil, nil
	}
	if p.rest == "" {
		return 0, nil, errBeyond
	}
	c := p.rest[0]
	p.rest = p.rest[1:]
	switch c {
	case 'r':
		return '\r', nil, nil
	case 'n':
		return '\n', nil, nil
	case 't':
		return '\t', nil, nil
	case 's':
		return 0, unicode.IsSpace, nil
	case 'S':
		return 0, not(unicode.IsSpace), nil
	case 'd':
		return 0, property("Nd"), nil
	case 'p':
		return p.property()
	}
	if c >= utf8.RuneSelf || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' {
		return 0, nil, errBeyond
	}
	return rune(c), nil, nil
}

func (p *parser) property() (rune, set, error) {
	name, rest, ok := strings.Cut(p.rest, "}")
	p.rest = rest
	name, braced := strings.CutPrefix(name, "{")
	s := property(name)
	if !ok || !braced || s == nil {
		return 0, nil, errBeyond
	}
	return 0, s, nil
}
