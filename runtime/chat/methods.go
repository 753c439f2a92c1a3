package chat

import (
	"errors"
	"fmt"
	"slices"
)

// forbidden are the methods that transformers' immutable sandbox does not let templates call.
func forbidden(name string) value {
	return &function{name, func(*exec, args) (value, error) {
		return nil, fmt.Errorf("access to attribute '%s' is unsafe: values may not be changed", name)
	}}
}

// changing is append or pop, where a template may use them: llama.cpp lets it, and some were written for that. A list can
// only get texts and numbers, so that it never holds itself.
func changing(l *list, name string) value {
	deny := forbidden(name).(*function)
	return &function{name, func(x *exec, a args) (value, error) {
		if !x.lenient {
			return deny.call(x, a)
		}
		if name == "pop" {
			i, _, isInt, _ := number(a.arg(0, "index", int64(len(l.items)-1)))
			if i < 0 {
				i += int64(len(l.items))
			}
			if !isInt || i < 0 || i >= int64(len(l.items)) {
				return nil, errors.New("pop index out of range")
			}
			v := l.items[i]
			l.items = slices.Concat(l.items[:i], l.items[i+1:])
			return v, x.fits(16 * len(l.items))
		}
		if err := a.takes(name, 1, 1); err != nil {
			return nil, err
		}
		switch a.pos[0].(type) {
		case *list, *dict, *namespace, *function, *macro:
			return deny.call(x, a)
		}
		l.items = append(slices.Clip(l.items), a.pos[0])
		return nil, x.fits(16 * len(l.items))
	}}
}

// view is what items(), keys() and values() yield.
func view(method string, items []value) value {
	return &list{items: append([]value(nil), items...), kind: aView, what: "dict_" + method}
}

func dictMethod(d *dict, name string) (value, bool) {
	plain := func(f func() value) (value, bool) {
		return &function{name, func(x *exec, a args) (value, error) {
			if err := x.fits(32 * d.len()); err != nil {
				return nil, err
			}
			return f(), a.takes(name, 0, 0)
		}}, true
	}
	switch name {
	case "items":
		return plain(func() value { return view(name, d.pairs()) })
	case "keys":
		return plain(func() value { return view(name, d.keys) })
	case "values":
		return plain(func() value { return view(name, d.vals) })
	case "copy":
		return plain(func() value { return d.copy() })
	case "get":
		return &function{name, func(_ *exec, a args) (value, error) {
			if err := a.takes("get", 1, 2); err != nil {
				return nil, err
			}
			if _, err := hashable(a.pos[0]); err != nil {
				return nil, err
			}
			if v, ok := d.get(a.pos[0]); ok {
				return v, nil
			}
			return a.arg(1, "default", nil), nil
		}}, true
	case "clear", "pop", "popitem", "setdefault", "update":
		return forbidden(name), true
	}
	return nil, false
}

func listMethod(l *list, name string) (value, bool) {
	switch name {
	case "index", "count":
		if !l.indexed() {
			return nil, false
		}
		return &function{name, func(x *exec, a args) (value, error) {
			if err := a.takes(name, 1, 1); err != nil {
				return nil, err
			}
			n := int64(0)
			for i, it := range l.items {
				if x.equal(it, a.arg(0, "", nil)) {
					if n++; name == "index" {
						return int64(i), nil
					}
				}
			}
			if name == "index" {
				return nil, errors.New("the value is not in the list")
			}
			return n, nil
		}}, true
	case "copy":
		return &function{name, func(x *exec, a args) (value, error) {
			return newList(append([]value(nil), l.items...)...), x.fits(16 * len(l.items))
		}}, l.kind == aList
	case "append", "pop":
		return changing(l, name), l.kind == aList
	case "clear", "reverse", "insert", "sort", "extend", "remove":
		return forbidden(name), l.kind == aList
	}
	return nil, false
}
