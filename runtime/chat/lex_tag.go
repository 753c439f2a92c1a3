package chat

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// operators, longer ones first.
var operators = []string{"**", "//", "==", "!=", "<=", ">=", "+", "-", "*", "/", "%", "~", "<", ">", "=", ".", ",", ":", "|", "(", ")", "[", "]", "{", "}", ";"}

var closing = map[byte]byte{'(': ')', '[': ']', '{': '}'}

// tag cuts a block or variable into tokens; brackets that are open keep its end from being seen.
func (l *lexer) tag(open, end kind, mark string) error {
	l.emit(open, "")
	l.advance(2)
	if r := l.rest(); r != "" && (r[0] == '-' || r[0] == '+' && open == kBlock) {
		l.advance(1)
	}
	var brackets []byte
	for {
		l.skipSpace()
		if len(brackets) == 0 {
			line := l.line
			if l.end(mark) {
				l.out = append(l.out, token{end, "", line})
				return nil
			}
		}
		if l.rest() == "" {
			return l.errorf("unexpected end of template in a tag")
		}
		var err error
		if brackets, err = l.inner(brackets); err != nil {
			return err
		}
	}
}

// inner takes one token of an expression.
func (l *lexer) inner(brackets []byte) ([]byte, error) {
	s := l.rest()
	r, _ := utf8.DecodeRuneInString(s)
	switch {
	case r == '_' || unicode.IsLetter(r):
		n := strings.IndexFunc(s, func(r rune) bool { return r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) })
		if n < 0 {
			n = len(s)
		}
		l.emit(kName, s[:n])
		l.advance(n)
		return brackets, nil
	case r >= '0' && r <= '9':
		return brackets, l.number()
	case r == '"' || r == '\'':
		return brackets, l.str(byte(r))
	}
	for _, op := range operators {
		if !strings.HasPrefix(s, op) {
			continue
		}
		switch c := op[0]; c {
		case '(', '[', '{':
			brackets = append(brackets, closing[c])
		case ')', ']', '}':
			if len(brackets) == 0 || brackets[len(brackets)-1] != c {
				return nil, l.errorf("unexpected '%c'", c)
			}
			brackets = brackets[:len(brackets)-1]
		}
		l.emit(kOp, op)
		l.advance(len(op))
		return brackets, nil
	}
	return nil, l.errorf("unexpected character %q", r)
}

// number takes an integer (also 0x, 0o, 0b, with _) or a float.
func (l *lexer) number() error {
	s := l.rest()
	digits := func(i int) int {
		for i < len(s) && (s[i] >= '0' && s[i] <= '9' || s[i] == '_' && i > 0 && s[i-1] != '_') {
			i++
		}
		return i
	}
	if len(s) > 1 && s[0] == '0' && strings.IndexByte("xXoObB", s[1]) >= 0 {
		n := 2
		for n < len(s) && (strings.IndexByte("0123456789abcdefABCDEF_", s[n]) >= 0) {
			n++
		}
		return l.integer(n)
	}
	n := digits(0)
	isFloat := false
	if m := digits(n + 1); n < len(s) && s[n] == '.' && m > n+1 {
		n, isFloat = m, true
	}
	if n < len(s) && (s[n] == 'e' || s[n] == 'E') {
		m := n + 1
		if m < len(s) && (s[m] == '+' || s[m] == '-') {
			m++
		}
		if end := digits(m); end > m {
			n, isFloat = end, true
		}
	}
	if !isFloat {
		return l.integer(n)
	}
	l.emit(kFloat, strings.ReplaceAll(l.advance(n), "_", ""))
	return nil
}

func (l *lexer) integer(n int) error {
	i, err := strconv.ParseInt(strings.ReplaceAll(l.rest()[:n], "_", ""), 0, 64)
	if err != nil {
		if i, err = strconv.ParseInt(strings.TrimLeft(l.rest()[:n], "0"), 10, 64); err != nil {
			return l.errorf("%q is no integer of 64 bits", l.rest()[:n])
		}
	}
	l.emit(kInt, strconv.FormatInt(i, 10))
	l.advance(n)
	return nil
}

// str takes a string literal with Python's escapes.
func (l *lexer) str(q byte) error {
	s := l.rest()
	n := 1
	for n < len(s) && s[n] != q {
		if s[n] == '\\' {
			n++
		}
		n++
	}
	if n >= len(s) {
		return l.errorf("a string does not end")
	}
	text, err := unescape(s[1:n])
	if err != nil {
		return l.errorf("%v", err)
	}
	l.emit(kString, text)
	l.advance(n + 1)
	return nil
}

var escapes = map[byte]string{'n': "\n", 't': "\t", 'r': "\r", '\\': "\\", '\'': "'", '"': `"`, 'a': "\a", 'b': "\b", 'f': "\f", 'v': "\v", '\n': ""}

// unescape resolves Python's escapes; unknown ones stay as they are.
func unescape(s string) (string, error) {
	if !strings.Contains(s, `\`) {
		return s, nil
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		i++
		digits := map[byte]int{'x': 2, 'u': 4, 'U': 8}[s[i]]
		switch e, ok := escapes[s[i]]; {
		case ok:
			b.WriteString(e)
		case digits > 0:
			if i+digits >= len(s) {
				return "", strconv.ErrSyntax
			}
			n, err := strconv.ParseUint(s[i+1:i+1+digits], 16, 32)
			if err != nil {
				return "", err
			}
			b.WriteRune(rune(n))
			i += digits
		case s[i] >= '0' && s[i] <= '7':
			n, j := 0, i
			for j < len(s) && j < i+3 && s[j] >= '0' && s[j] <= '7' {
				n, j = n*8+int(s[j]-'0'), j+1
			}
			b.WriteRune(rune(n))
			i = j - 1
		default:
			b.WriteByte('\\')
			b.WriteByte(s[i])
		}
	}
	return b.String(), nil
}
