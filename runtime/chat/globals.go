package chat

import (
	"errors"
	"fmt"
)

// maxRange is the sandbox's bound on range().
const maxRange = 100_000

var globals map[string]value

func init() {
	globals = map[string]value{}
	for name, f := range map[string]func(x *exec, a args) (value, error){
		"namespace": func(_ *exec, a args) (value, error) {
			d, err := dictFrom(a)
			return &namespace{d}, err
		},
		"dict":  func(_ *exec, a args) (value, error) { return dictFrom(a) },
		"range": rangeOf,
		"raise_exception": func(x *exec, a args) (value, error) {
			return nil, &RaisedError{x.line, str(a.arg(0, "message", ""))}
		},
		"strftime_now": func(x *exec, a args) (value, error) {
			f, ok := a.arg(0, "format", nil).(string)
			if !ok {
				return nil, errors.New("strftime_now: want a format")
			}
			if err := x.fits(32 * len(f)); err != nil {
				return nil, err
			}
			return strftime(x.now(), f), nil
		},
		"cycler": func(_ *exec, a args) (value, error) {
			if len(a.pos) == 0 {
				return nil, errors.New("at least one item has to be provided")
			}
			return &cycler{items: a.pos}, nil
		},
		"joiner": func(_ *exec, a args) (value, error) { return &joiner{sep: str(a.arg(0, "sep", ", "))}, nil },
	} {
		globals[name] = &function{name, f}
	}
}

// dictFrom is dict(mapping or pairs, **kwargs).
func dictFrom(a args) (*dict, error) {
	d := newDict()
	if err := a.takes("dict", 0, len(a.names)+1, a.names...); err != nil {
		return nil, err
	}
	if len(a.pos) > 0 {
		switch v := a.pos[0].(type) {
		case *dict:
			d = v.copy()
		case *list:
			for _, it := range v.items {
				p, ok := it.(*list)
				if !ok || len(p.items) != 2 {
					return nil, errors.New("dict: want pairs")
				}
				if err := d.set(p.items[0], p.items[1]); err != nil {
					return nil, err
				}
			}
		default:
			return nil, fmt.Errorf("'%s' object is not iterable", typeName(v))
		}
	}
	for i, n := range a.names {
		d.put(n, a.named[i])
	}
	return d, nil
}

func rangeOf(x *exec, a args) (value, error) {
	if err := a.takes("range", 1, 3); err != nil {
		return nil, err
	}
	bounds := [3]int64{0, 0, 1}
	for i, v := range a.pos {
		n, _, isInt, _ := number(v)
		if !isInt {
			return nil, fmt.Errorf("'%s' object cannot be interpreted as an integer", typeName(v))
		}
		bounds[i] = n
	}
	if len(a.pos) == 1 {
		bounds[0], bounds[1] = 0, bounds[0]
	}
	from, to, by := bounds[0], bounds[1], bounds[2]
	if by == 0 {
		return nil, errors.New("range() arg 3 must not be zero")
	}
	out := &list{kind: aRange, what: rangeText(from, to, by)}
	for i := from; by > 0 && i < to || by < 0 && i > to; i += by {
		if len(out.items) == maxRange {
			return nil, fmt.Errorf("range too big; the sandbox blocks ranges larger than %d", maxRange)
		}
		out.items = append(out.items, i)
		if by > 0 && i > to-by || by < 0 && i < to-by {
			break // the next would be beyond, or beyond 64 bits
		}
	}
	x.steps += len(out.items) / 16
	return out, x.fits(16 * len(out.items))
}

// cycler gives its items in turn.
type cycler struct {
	items []value
	i     int
}

// joiner gives nothing the first time, then its separator.
type joiner struct {
	sep  string
	used bool
}

func (j *joiner) call() value {
	if !j.used {
		j.used = true
		return ""
	}
	return j.sep
}

func cyclerAttr(v value, name string) (value, bool) {
	c, ok := v.(*cycler)
	if !ok {
		return nil, false
	}
	switch name {
	case "current":
		return c.items[c.i], true
	case "next":
		return &function{name, func(*exec, args) (value, error) {
			v := c.items[c.i]
			c.i = (c.i + 1) % len(c.items)
			return v, nil
		}}, true
	case "reset":
		return &function{name, func(*exec, args) (value, error) { c.i = 0; return nil, nil }}, true
	}
	return nil, false
}

func rangeText(from, to, by int64) string {
	if by == 1 {
		return fmt.Sprintf("range(%d, %d)", from, to)
	}
	return fmt.Sprintf("range(%d, %d, %d)", from, to, by)
}
