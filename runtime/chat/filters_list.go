package chat

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

func joinFilter(x *exec, v value, a args) (value, error) {
	all, err := x.iterate(v)
	if err != nil {
		return nil, err
	}
	get, err := x.getter(a.arg(1, "attribute", nil), nil)
	if err != nil {
		return nil, err
	}
	sep, size := str(a.arg(0, "d", "")), 0
	parts := make([]string, len(all))
	for i, it := range all {
		if it, err = get(it); err != nil {
			return nil, err
		}
		parts[i] = str(it)
		if size += len(parts[i]) + len(sep); size > x.limits.Output {
			return nil, x.fits(-1)
		}
	}
	return strings.Join(parts, sep), x.fits(size)
}

func toList(x *exec, v value, _ args) (value, error) {
	all, err := x.iterate(v)
	if err != nil {
		return nil, err
	}
	return newList(slices.Clone(all)...), x.fits(16 * len(all))
}

func items(x *exec, v value, _ args) (value, error) {
	switch v := v.(type) {
	case undefined:
		return generator(), nil
	case *dict:
		return generator(v.pairs()...), x.fits(32 * v.len())
	}
	return nil, errors.New("can only get item pairs from a mapping")
}

// getter makes the function by which filters look at items: the item itself, or an attribute of it (a.b, or a number).
func (x *exec) getter(attr, missing value) (func(v value) (value, error), error) {
	if attr == nil {
		return func(v value) (value, error) { return v, nil }, nil
	}
	path := []value{attr}
	switch s := attr.(type) {
	case string:
		if strings.Contains(s, ",") {
			return x.getters(strings.Split(s, ","))
		}
		path = nil
		for _, part := range strings.Split(s, ".") {
			if i, err := strconv.ParseInt(part, 10, 64); err == nil {
				path = append(path, i)
			} else {
				path = append(path, part)
			}
		}
	case int64:
	default:
		return nil, fmt.Errorf("an attribute must be a string or a number, not %s", typeName(attr))
	}
	return func(v value) (value, error) {
		for _, k := range path {
			var err error
			if v, err = item(v, k); err != nil {
				return nil, err
			}
			if _, ok := v.(undefined); ok && missing != nil {
				v = missing
			}
		}
		return v, nil
	}, nil
}

// getters makes the function that looks at several attributes, as a tuple.
func (x *exec) getters(attrs []string) (func(v value) (value, error), error) {
	var gets []func(v value) (value, error)
	for _, a := range attrs {
		get, err := x.getter(a, nil)
		if err != nil {
			return nil, err
		}
		gets = append(gets, get)
	}
	return func(v value) (value, error) {
		out := tuple()
		for _, get := range gets {
			k, err := get(v)
			if err != nil {
				return nil, err
			}
			out.items = append(out.items, folded(k))
		}
		return out, nil
	}, nil
}

func end(x *exec, v value, last bool) (value, error) {
	if l, ok := v.(*list); ok && last && l.kind == aGenerator {
		return nil, errors.New("'generator' object is not reversible")
	}
	all, err := x.iterate(v)
	if err != nil {
		return nil, err
	}
	switch {
	case len(all) == 0:
		return undefined{"the sequence was empty: its item"}, nil
	case last:
		return all[len(all)-1], nil
	}
	return all[0], nil
}

func reverse(x *exec, v value, _ args) (value, error) {
	if s, ok := v.(string); ok {
		r := []rune(s)
		slices.Reverse(r)
		return string(r), nil
	}
	all, err := x.iterate(v)
	if err != nil {
		return nil, err
	}
	out := slices.Clone(all)
	slices.Reverse(out)
	if l, ok := v.(*list); ok && l.kind == aGenerator {
		return newList(out...), x.fits(16 * len(all))
	}
	return generator(out...), x.fits(16 * len(all))
}

func batch(x *exec, v value, a args) (value, error) {
	all, err := x.iterate(v)
	if err != nil {
		return nil, err
	}
	n, _, isInt, _ := number(a.arg(0, "linecount", nil))
	if !isInt || n < 1 || n > int64(x.limits.Output) {
		return nil, errors.New("batch: the count must be a positive integer")
	}
	fill, filled := a.arg(1, "fill_with", nil), a.arg(1, "fill_with", nil) != nil
	out := generator()
	for part := range slices.Chunk(all, int(n)) {
		row := newList(slices.Clone(part)...)
		if err := x.fits(16 * int(n)); err != nil {
			return nil, err
		}
		for filled && len(row.items) < int(n) {
			row.items = append(row.items, fill)
		}
		out.items = append(out.items, row)
	}
	return out, nil
}

// columns is slice: n lists of nearly equal length.
func columns(x *exec, v value, a args) (value, error) {
	all, err := x.iterate(v)
	if err != nil {
		return nil, err
	}
	n, _, isInt, _ := number(a.arg(0, "slices", nil))
	if !isInt || n < 1 || n > int64(x.limits.Output/16) {
		return nil, errors.New("slice: the count must be a positive integer")
	}
	fill := a.arg(1, "fill_with", nil)
	out := generator()
	per, more := len(all)/int(n), len(all)%int(n)
	at := 0
	for i := range int(n) {
		size := per
		if i < more {
			size++
		}
		row := newList(slices.Clone(all[at : at+size])...)
		if fill != nil && i >= more {
			row.items = append(row.items, fill)
		}
		at += size
		out.items = append(out.items, row)
	}
	return out, x.fits(16 * int(n))
}

func attrFilter(_ *exec, v value, a args) (value, error) {
	name, ok := a.arg(0, "name", nil).(string)
	if !ok {
		return nil, errors.New("attr: want a name")
	}
	if d, ok := v.(*dict); ok { // attributes only, no items
		if m, ok := dictMethod(d, name); ok {
			return m, nil
		}
		return undefined{fmt.Sprintf("'dict object' has no attribute '%s'", name)}, nil
	}
	return attribute(v, name)
}
