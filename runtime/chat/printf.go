package chat

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// printf is Python's format % v.
func (x *exec) printf(format string, v value) (value, error) {
	rest := []value{v}
	if l, ok := v.(*list); ok && l.kind == aTuple {
		rest = l.items
	}
	d, isDict := v.(*dict)
	used := 0
	var b strings.Builder
	for i := 0; i < len(format); i++ {
		if format[i] != '%' {
			b.WriteByte(format[i])
			continue
		}
		verb, n, err := parseVerb(format[i+1:])
		if err != nil {
			return nil, err
		}
		i += n
		if verb.conv == '%' {
			b.WriteByte('%')
			continue
		}
		var arg value
		switch {
		case verb.keyed && !isDict:
			return nil, errors.New("format requires a mapping")
		case verb.keyed:
			var ok bool
			if arg, ok = d.get(verb.key); !ok {
				return nil, fmt.Errorf("key %s is missing", repr(verb.key))
			}
		case used == len(rest):
			return nil, errors.New("not enough arguments for format string")
		default:
			arg = rest[used]
			used++
		}
		text, err := verb.text(arg)
		if err != nil {
			return nil, err
		}
		if err := x.fits(b.Len() + len(text)); err != nil {
			return nil, err
		}
		b.WriteString(text)
	}
	if used < len(rest) && !isDict {
		return nil, errors.New("not all arguments converted during string formatting")
	}
	return b.String(), nil
}

// verb is one conversion: flags, width, precision, type.
type verb struct {
	key   string
	keyed bool
	spec
}

// spec is how a value is laid out, by printf and by str.format.
type spec struct {
	fill             string
	align            byte // '<', '>', '^', '=', or 0
	sign             byte // '+', ' ', or 0
	alt, zero, comma bool
	width, prec      int
	hasPrec          bool
	conv             byte // 0: none
}

const maxWidth = 10_000

func parseVerb(s string) (v verb, n int, err error) {
	v.fill = " "
	if strings.HasPrefix(s, "(") {
		end := strings.IndexByte(s, ')')
		if end < 0 {
			return v, 0, errors.New("incomplete format key")
		}
		v.key, v.keyed, n = s[1:end], true, end+1
	}
	for ; n < len(s) && strings.IndexByte("-+ 0#", s[n]) >= 0; n++ {
		switch s[n] {
		case '-':
			v.align = '<'
		case '0':
			v.zero = true
		case '#':
			v.alt = true
		default:
			v.sign = max(v.sign, s[n])
		}
	}
	if v.width, n, err = digits(s, n); err != nil {
		return v, 0, err
	}
	if n < len(s) && s[n] == '.' {
		v.hasPrec = true
		if v.prec, n, err = digits(s, n+1); err != nil {
			return v, 0, err
		}
	}
	if n == len(s) {
		return v, 0, errors.New("incomplete format")
	}
	v.conv = s[n]
	return v, n + 1, nil
}

func digits(s string, n int) (value, end int, err error) {
	for ; n < len(s) && s[n] >= '0' && s[n] <= '9'; n++ {
		if value = value*10 + int(s[n]-'0'); value > maxWidth {
			return 0, 0, fmt.Errorf("%w: a width of more than %d", ErrLimit, maxWidth)
		}
	}
	return value, n, nil
}

func (v verb) text(arg value) (string, error) {
	switch v.conv {
	case 's', 'r', 'a':
		s := str(arg)
		if v.conv != 's' {
			s = repr(arg)
		}
		if v.hasPrec {
			s = string([]rune(s)[:min(v.prec, utf8.RuneCountInString(s))])
		}
		return v.pad(s, '>'), nil
	case 'c':
		if s, ok := arg.(string); ok && utf8.RuneCountInString(s) == 1 {
			return v.pad(s, '>'), nil
		}
		return "", errors.New("%c requires a single character")
	case 'i', 'u':
		v.conv = 'd'
	}
	i, f, isInt, ok := number(arg)
	if !ok {
		return "", fmt.Errorf("%%%c format: a real number is required, not %s", v.conv, typeName(arg))
	}
	switch v.conv {
	case 'd', 'x', 'X', 'o':
		if !isInt {
			if v.conv != 'd' {
				return "", fmt.Errorf("%%%c format: an integer is required, not float", v.conv)
			}
			i = int64(f)
		}
		return v.integer(i), nil
	case 'f', 'F', 'e', 'E', 'g', 'G':
		return v.float(f), nil
	}
	return "", fmt.Errorf("unsupported format character '%c'", v.conv)
}

// integer lays out an integer.
func (p spec) integer(i int64) string {
	base := map[byte]int{'x': 16, 'X': 16, 'o': 8, 'b': 2}[p.conv]
	if base == 0 {
		base = 10
	}
	s := strconv.FormatUint(abs(i), base)
	if p.conv == 'X' {
		s = strings.ToUpper(s)
	}
	if p.comma {
		s = grouped(s)
	}
	if p.alt && base != 10 {
		s = "0" + string(p.conv) + s
	}
	return p.signed(s, i < 0)
}

// float lays out a float.
func (p spec) float(f float64) string {
	prec := 6
	if p.hasPrec {
		prec = p.prec
	}
	conv := p.conv | 0x20
	if conv == 'g' {
		prec = max(prec, 1)
	}
	s := strconv.FormatFloat(f, conv, prec, 64)
	s = strings.TrimLeft(s, "+-")
	if conv == 'g' && !p.alt {
		s = trimG(s)
	}
	if p.comma {
		whole, frac, ok := strings.Cut(s, ".")
		s = grouped(whole)
		if ok {
			s += "." + frac
		}
	}
	s = strings.ToLower(s)
	if p.conv < 'a' {
		s = strings.ToUpper(s)
	}
	return p.signed(s, f < 0 || f == 0 && strconv.FormatFloat(f, 'f', 0, 64)[0] == '-')
}

// trimG drops zeros behind the point, as %g does.
func trimG(s string) string {
	mant, exp, ok := strings.Cut(s, "e")
	if strings.Contains(mant, ".") {
		mant = strings.TrimRight(strings.TrimRight(mant, "0"), ".")
	}
	if ok {
		return mant + "e" + exp
	}
	return mant
}

func grouped(s string) string {
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// signed puts the sign before digits, and zeros between where asked for.
func (p spec) signed(s string, negative bool) string {
	sign := ""
	switch {
	case negative:
		sign = "-"
	case p.sign != 0:
		sign = string(p.sign)
	}
	if p.zero && p.align == 0 || p.align == '=' {
		fill := p.fill
		if p.zero {
			fill = "0"
		}
		if n := p.width - len(s) - len(sign); n > 0 {
			return sign + strings.Repeat(fill, n) + s
		}
		return sign + s
	}
	return p.pad(sign+s, '>')
}

// pad brings s to the width; align stands in where none was asked for.
func (p spec) pad(s string, align byte) string {
	n := p.width - utf8.RuneCountInString(s)
	if n <= 0 {
		return s
	}
	if p.align != 0 {
		align = p.align
	}
	switch align {
	case '<':
		return s + strings.Repeat(p.fill, n)
	case '^':
		return strings.Repeat(p.fill, n/2) + s + strings.Repeat(p.fill, n-n/2)
	}
	return strings.Repeat(p.fill, n) + s
}
