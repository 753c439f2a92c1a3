package chat

import (
	"strings"
	"unicode"
)

// kind tells tokens apart.
type kind uint8

const (
	kText  kind = iota // template text, printed as it is
	kBlock             // {%
	kBlockEnd
	kPrint // {{
	kPrintEnd
	kName
	kString
	kInt
	kFloat
	kOp
	kEOF
)

type token struct {
	kind kind
	text string // of names, operators, numbers as written; the value of strings
	line int
}

// lexer cuts a template into tokens, as jinja2's with trim_blocks and lstrip_blocks.
type lexer struct {
	src       string
	pos, line int
	lineStart bool // what was cut off last ended with a newline
	out       []token
}

// lex cuts src. One newline at its end is dropped, others are unified.
func lex(src string) ([]token, error) {
	src = strings.ReplaceAll(strings.ReplaceAll(src, "\r\n", "\n"), "\r", "\n")
	l := &lexer{src: strings.TrimSuffix(src, "\n"), line: 1, lineStart: true}
	for l.pos < len(l.src) {
		if err := l.next(); err != nil {
			return nil, err
		}
	}
	l.emit(kEOF, "")
	return l.out, nil
}

func (l *lexer) emit(k kind, text string) { l.out = append(l.out, token{k, text, l.line}) }

func (l *lexer) errorf(format string, a ...any) error { return syntaxError(l.line, format, a...) }

// advance moves over n bytes.
func (l *lexer) advance(n int) string {
	s := l.src[l.pos : l.pos+n]
	l.pos += n
	l.line += strings.Count(s, "\n")
	if n > 0 {
		l.lineStart = s[n-1] == '\n'
	}
	return s
}

func (l *lexer) rest() string { return l.src[l.pos:] }

// next takes the text up to the next tag, and that tag.
func (l *lexer) next() error {
	at := nextTag(l.rest())
	if at < 0 {
		l.emit(kText, l.advance(len(l.rest())))
		return nil
	}
	tag := l.rest()[at:]
	text := l.trimmed(l.rest()[:at], tag)
	if text != "" {
		l.emit(kText, text)
	}
	l.advance(at)
	switch tag[1] {
	case '#':
		return l.comment()
	case '{':
		return l.tag(kPrint, kPrintEnd, "}}")
	}
	if body, ok := rawTag(tag, "raw"); ok {
		return l.raw(body)
	}
	return l.tag(kBlock, kBlockEnd, "%}")
}

// nextTag finds {{, {% or {#.
func nextTag(s string) int {
	for i := 0; i+1 < len(s); i++ {
		if s[i] == '{' && strings.IndexByte("{%#", s[i+1]) >= 0 {
			return i
		}
	}
	return -1
}

// trimmed is the text before a tag: without white space at its end where the tag says -, without the indentation of
// blocks and comments that stand first on their line unless they say +.
func (l *lexer) trimmed(text, tag string) string {
	sign := byte(0)
	if len(tag) > 2 {
		sign = tag[2]
	}
	switch {
	case sign == '-':
		return strings.TrimRightFunc(text, unicode.IsSpace)
	case sign == '+' || tag[1] == '{':
		return text
	}
	start := strings.LastIndexByte(text, '\n') + 1
	if (start > 0 || l.lineStart) && strings.TrimSpace(text[start:]) == "" {
		return text[:start]
	}
	return text
}

// skipSpace moves over white space.
func (l *lexer) skipSpace() {
	l.advance(len(l.rest()) - len(strings.TrimLeftFunc(l.rest(), unicode.IsSpace)))
}

// end moves over the end of a block or comment, or of a variable, which keeps the newline that follows.
func (l *lexer) end(mark string) bool {
	switch {
	case strings.HasPrefix(l.rest(), "-"+mark):
		l.advance(1 + len(mark))
		l.skipSpace()
	case strings.HasPrefix(l.rest(), "+"+mark) && mark != "}}":
		l.advance(1 + len(mark))
	case strings.HasPrefix(l.rest(), mark):
		l.advance(len(mark))
		if mark != "}}" && strings.HasPrefix(l.rest(), "\n") {
			l.advance(1)
		}
	default:
		return false
	}
	return true
}

func (l *lexer) comment() error {
	at := strings.Index(l.rest()[2:], "#}")
	if at < 0 {
		return l.errorf("missing end of comment tag")
	}
	at += 2
	if c := l.rest()[at-1]; at > 2 && (c == '-' || c == '+') {
		at--
	}
	l.advance(at)
	l.end("#}")
	return nil
}

// rawTag reports whether s begins with {% name %}, and how long that is without white space trimmed by -%}.
func rawTag(s, name string) (n int, ok bool) {
	rest := s[2:]
	if rest != "" && (rest[0] == '-' || rest[0] == '+') {
		rest = rest[1:]
	}
	rest = strings.TrimLeftFunc(rest, unicode.IsSpace)
	rest, ok = strings.CutPrefix(rest, name)
	if !ok {
		return 0, false
	}
	rest = strings.TrimLeftFunc(rest, unicode.IsSpace)
	for _, end := range []string{"-%}", "%}"} {
		if strings.HasPrefix(rest, end) {
			return len(s) - len(rest), true
		}
	}
	return 0, false
}

// raw takes what stands between raw and endraw as text; body is the length of the opening tag without its end.
func (l *lexer) raw(body int) error {
	l.advance(body)
	if strings.HasPrefix(l.rest(), "-") {
		l.end("%}")
	} else {
		l.advance(2) // a newline behind it stays
	}
	s := l.rest()
	for i := 0; ; i++ {
		j := strings.Index(s[i:], "{%")
		if j < 0 {
			return l.errorf("missing end of raw directive")
		}
		i += j
		if n, ok := rawTag(s[i:], "endraw"); ok {
			if text := l.trimmed(s[:i], s[i:]); text != "" {
				l.emit(kText, text)
			}
			l.advance(i + n)
			l.end("%}")
			return nil
		}
	}
}
