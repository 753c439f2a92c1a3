package chat

import (
	"errors"
	"fmt"
)

// loop is the variable of that name in the body of for.
type loop struct {
	items   []value
	i       int // of the item at hand
	depth   int
	changed value // last argument of changed(), a tuple; nil before
	again   func(v value) (value, error)
}

func (x *exec) forEach(st forStmt, s *scope) error {
	v, err := x.eval(st.iter, s)
	if err != nil {
		return err
	}
	return x.loopOver(st, v, s, 0)
}

func (x *exec) loopOver(st forStmt, v value, s *scope, depth int) error {
	if err := x.nested(); err != nil {
		return err
	}
	defer func() { x.depth-- }()
	items, err := x.iterate(v)
	if err != nil {
		return err
	}
	if items, err = x.kept(st, items, s); err != nil {
		return err
	}
	if len(items) == 0 {
		return x.run(st.other, newScope(s, nil))
	}
	l := &loop{items: items, depth: depth}
	if st.recursive {
		l.again = func(v value) (value, error) {
			return x.capture(func() error { return x.loopOver(st, v, s, depth+1) })
		}
	}
	for i, it := range items {
		if err := x.step(); err != nil {
			return err
		}
		l.i = i
		inner := newScope(s, map[string]value{"loop": l})
		if err := x.assign(st.target, it, inner); err != nil {
			return err
		}
		err := x.run(st.body, inner)
		if errors.Is(err, errBreak) {
			break
		}
		if err != nil && !errors.Is(err, errContinue) {
			return err
		}
	}
	return nil
}

// kept drops the items that the loop's own condition does not want.
func (x *exec) kept(st forStmt, items []value, s *scope) ([]value, error) {
	if st.filter == nil {
		return items, nil
	}
	var out []value
	for _, it := range items {
		inner := newScope(s, nil)
		if err := x.assign(st.target, it, inner); err != nil {
			return nil, err
		}
		v, err := x.eval(st.filter, inner)
		if err != nil {
			return nil, err
		}
		if truth(v) {
			out = append(out, it)
		}
	}
	return out, nil
}

// attr is an attribute of the loop variable.
func (l *loop) attr(name string) (value, bool) {
	n := int64(len(l.items))
	i := int64(l.i)
	switch name {
	case "index":
		return i + 1, true
	case "index0":
		return i, true
	case "revindex":
		return n - i, true
	case "revindex0":
		return n - i - 1, true
	case "first":
		return i == 0, true
	case "last":
		return i == n-1, true
	case "length":
		return n, true
	case "depth":
		return int64(l.depth + 1), true
	case "depth0":
		return int64(l.depth), true
	case "previtem":
		if l.i == 0 {
			return undefined{"there is no previous item"}, true
		}
		return l.items[l.i-1], true
	case "nextitem":
		if l.i+1 == len(l.items) {
			return undefined{"there is no next item"}, true
		}
		return l.items[l.i+1], true
	case "cycle":
		return &function{"cycle", func(_ *exec, a args) (value, error) {
			if len(a.pos) == 0 {
				return nil, errors.New("no items for cycling given")
			}
			return a.pos[l.i%len(a.pos)], nil
		}}, true
	case "changed":
		return &function{"changed", func(x *exec, a args) (value, error) {
			now := tuple(a.pos...)
			same := l.changed != nil && x.equal(l.changed, now)
			l.changed = now
			return !same, nil
		}}, true
	}
	return nil, false
}

// iterate lists what Python's iteration over v yields.
func (x *exec) iterate(v value) ([]value, error) {
	switch v := plain(v).(type) {
	case *list:
		if v.kind == aGenerator && v.used {
			return nil, nil
		}
		v.used = true
		return v.items, nil
	case *dict:
		return v.keys, nil
	case undefined:
		return nil, nil
	case string:
		if err := x.fits(16 * len(v)); err != nil { // a value each
			return nil, err
		}
		out := make([]value, 0, len(v))
		for _, r := range v {
			out = append(out, string(r))
		}
		return out, nil
	case *loop:
		return v.items, nil
	}
	return nil, fmt.Errorf("'%s' object is not iterable", typeName(v))
}
