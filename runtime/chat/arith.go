package chat

import (
	"errors"
	"fmt"
	"html"
	"math"
	"math/bits"
	"strings"
)

var errOverflow = errors.New("an integer of more than 64 bits")

// arith is Python's a op b.
func (x *exec) arith(op string, a, b value) (value, error) {
	if u, ok := firstUndefined(a, b); ok {
		return nil, u.err()
	}
	if m, ok, err := x.addMarkup(op, a, b); ok {
		return m, err
	}
	a, b = plain(a), plain(b)
	i, f, aInt, aNum := number(a)
	j, g, bInt, bNum := number(b)
	switch {
	case op == "%" && isString(a):
		return x.printf(a.(string), b)
	case aNum && bNum && aInt && bInt && op != "/":
		return intArith(op, i, j)
	case aNum && bNum:
		return floatArith(op, f, g)
	case op == "+":
		return x.join(a, b)
	case op == "*" && bNum && bInt:
		return x.repeat(a, j)
	case op == "*" && aNum && aInt:
		return x.repeat(b, i)
	}
	return nil, unsupported(op, a, b)
}

func isString(v value) bool {
	_, ok := v.(string)
	return ok
}

func unsupported(op string, a, b value) error {
	if op == "**" {
		op = "** or pow()"
	}
	return fmt.Errorf("unsupported operand type(s) for %s: '%s' and '%s'", op, typeName(a), typeName(b))
}

func intArith(op string, i, j int64) (value, error) {
	switch op {
	case "+":
		if s := i + j; (s > i) == (j > 0) {
			return s, nil
		}
	case "-":
		if d := i - j; (d < i) == (j > 0) {
			return d, nil
		}
	case "*":
		if p, ok := product(i, j); ok {
			return p, nil
		}
	case "//", "%":
		return divided(op, i, j)
	case "**":
		return power(i, j)
	}
	return nil, errOverflow
}

func product(i, j int64) (int64, bool) {
	hi, lo := bits.Mul64(abs(i), abs(j))
	if hi != 0 || lo > math.MaxInt64 {
		return 0, false
	}
	if (i < 0) != (j < 0) {
		return -int64(lo), true
	}
	return int64(lo), true
}

func abs(i int64) uint64 {
	if i < 0 {
		return uint64(-i)
	}
	return uint64(i)
}

// divided rounds towards minus infinity.
func divided(op string, i, j int64) (value, error) {
	if j == 0 {
		return nil, errors.New("integer division or modulo by zero")
	}
	q, r := i/j, i%j
	if r != 0 && (r < 0) != (j < 0) {
		q, r = q-1, r+j
	}
	if op == "%" {
		return r, nil
	}
	return q, nil
}

func power(i, j int64) (value, error) {
	if j < 0 {
		return floatArith("**", float64(i), float64(j))
	}
	out := int64(1)
	for ; j > 0; j-- {
		var ok bool
		if out, ok = product(out, i); !ok {
			return nil, errOverflow
		}
		if out == 0 || out == 1 && i == 1 {
			break
		}
		if i == -1 {
			return out * (1 - 2*((j-1)&1)), nil
		}
	}
	return out, nil
}

func floatArith(op string, f, g float64) (value, error) {
	switch op {
	case "+":
		return f + g, nil
	case "-":
		return f - g, nil
	case "*":
		return f * g, nil
	case "**":
		if f == 0 && g < 0 {
			return nil, errors.New("0.0 cannot be raised to a negative power")
		}
		return math.Pow(f, g), nil
	}
	if g == 0 {
		return nil, errors.New("division by zero")
	}
	switch op {
	case "/":
		return f / g, nil
	case "//":
		return math.Floor(f / g), nil
	}
	r := math.Mod(f, g)
	if r != 0 && (r < 0) != (g < 0) {
		r += g
	}
	return r, nil
}

// join is + of strings, lists and tuples.
func (x *exec) join(a, b value) (value, error) {
	switch v := a.(type) {
	case string:
		w, ok := b.(string)
		if !ok {
			return nil, fmt.Errorf("can only concatenate str (not \"%s\") to str", typeName(b))
		}
		return v + w, x.fits(len(v) + len(w))
	case *list:
		if w, ok := b.(*list); ok && v.kind <= aTuple && v.kind == w.kind {
			if err := x.fits(16 * (len(v.items) + len(w.items))); err != nil {
				return nil, err
			}
			return &list{items: append(append(make([]value, 0, len(v.items)+len(w.items)), v.items...), w.items...), kind: v.kind}, nil
		}
	}
	return nil, unsupported("+", a, b)
}

// repeat is * of a string or list.
func (x *exec) repeat(v value, n int64) (value, error) {
	size := func(one int) error {
		if n > 0 && one > 0 && n > int64(x.limits.Output/one) {
			return x.fits(-1)
		}
		return nil
	}
	switch v := v.(type) {
	case string:
		if err := size(len(v)); err != nil {
			return nil, err
		}
		return strings.Repeat(v, int(max(n, 0))), nil
	case *list:
		if v.kind > aTuple {
			break
		}
		if err := size(16 * len(v.items)); err != nil {
			return nil, err
		}
		out := &list{kind: v.kind}
		if len(v.items) > 0 {
			for range n {
				out.items = append(out.items, v.items...)
			}
		}
		return out, nil
	}
	return nil, unsupported("*", v, n)
}

// addMarkup is + where one side is markup and the other text: that is escaped. ok is false where there is no markup.
func (x *exec) addMarkup(op string, a, b value) (sum value, ok bool, err error) {
	_, left := a.(markup)
	_, right := b.(markup)
	if op != "+" || !left && !right || !isString(plain(a)) || !isString(plain(b)) {
		return nil, false, nil
	}
	s := string(escaped(a)) + string(escaped(b))
	return markup(s), true, x.fits(len(s))
}

// escaped is v's text with the characters that HTML gives a meaning escaped, unless it is markup already.
func escaped(v value) markup {
	if m, ok := v.(markup); ok {
		return m
	}
	return markup(html.EscapeString(str(v)))
}
