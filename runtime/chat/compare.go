package chat

import (
	"fmt"
	"strings"
)

func (x *exec) compare(e compareExpr, s *scope) (value, error) {
	a, err := x.eval(e.x, s)
	if err != nil {
		return nil, err
	}
	for i, op := range e.ops {
		b, err := x.eval(e.ys[i], s)
		if err != nil {
			return nil, err
		}
		ok, err := x.holds(op, a, b)
		if err != nil || !ok {
			return false, err
		}
		a = b
	}
	return true, nil
}

// holds is one comparison.
func (x *exec) holds(op string, a, b value) (bool, error) {
	switch op {
	case "==":
		return x.equal(a, b), nil
	case "!=":
		return !x.equal(a, b), nil
	case "in":
		return x.contains(b, a)
	case "not in":
		ok, err := x.contains(b, a)
		return !ok, err
	}
	c, err := x.order(op, a, b)
	if err != nil || c == 2 {
		return false, err
	}
	switch op {
	case "<":
		return c < 0, nil
	case "<=":
		return c <= 0, nil
	case ">":
		return c > 0, nil
	}
	return c >= 0, nil
}

// contains is Python's v in c.
func (x *exec) contains(c, v value) (bool, error) {
	v = plain(v)
	switch c := plain(c).(type) {
	case string:
		s, ok := v.(string)
		if !ok {
			if u, is := v.(undefined); is {
				return false, u.err()
			}
			return false, fmt.Errorf("'in <string>' requires string as left operand, not %s", typeName(v))
		}
		return strings.Contains(c, s), nil
	case *dict:
		if _, err := hashable(v); err != nil {
			return false, err
		}
		_, ok := c.get(v)
		return ok, nil
	case nil, bool, int64, float64:
		return false, fmt.Errorf("argument of type '%s' is not iterable", typeName(c))
	}
	items, err := x.iterate(c)
	if err != nil {
		return false, err
	}
	for _, it := range items {
		if err := x.step(); err != nil {
			return false, err
		}
		if x.equal(it, v) {
			return true, nil
		}
	}
	return false, nil
}
