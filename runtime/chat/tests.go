package chat

import (
	"errors"
	"fmt"
	"strings"
)

// testFunc is a test of v.
type testFunc = func(x *exec, v value, a args) (bool, error)

var tests map[string]testFunc

func init() { // not a literal: "test" and "filter" look into maps
	is := func(f func(v value) bool) testFunc {
		return func(_ *exec, v value, _ args) (bool, error) { return f(v), nil }
	}
	tests = map[string]testFunc{
		"defined":   is(func(v value) bool { return typeName(v) != "Undefined" }),
		"undefined": is(func(v value) bool { return typeName(v) == "Undefined" }),
		"none":      is(func(v value) bool { return v == nil }),
		"boolean":   is(func(v value) bool { return v == true || v == false }),
		"true":      is(func(v value) bool { return v == true }),
		"false":     is(func(v value) bool { return v == false }),
		"string":    is(isString),
		"integer":   is(func(v value) bool { return typeName(v) == "int" }),
		"float":     is(func(v value) bool { return typeName(v) == "float" }),
		"number":    is(func(v value) bool { _, _, _, ok := number(v); return ok }),
		"mapping":   is(func(v value) bool { return typeName(v) == "dict" }),
		"iterable":  is(iterable),
		"sequence":  is(sequence),
		"callable":  is(callable),
		"escaped":   is(func(value) bool { return false }),
		"lower":     is(func(v value) bool { s := str(v); return s == strings.ToLower(s) && s != strings.ToUpper(s) }),
		"upper":     is(func(v value) bool { s := str(v); return s == strings.ToUpper(s) && s != strings.ToLower(s) }),
		"odd":       remainder(2, 1),
		"even":      remainder(2, 0),
		"divisibleby": func(x *exec, v value, a args) (bool, error) {
			r, err := x.arith("%", v, a.arg(0, "num", nil))
			return err == nil && x.equal(r, int64(0)), err
		},
		"sameas": func(_ *exec, v value, a args) (bool, error) { return same(v, a.arg(0, "other", nil)), nil },
		"in":     func(x *exec, v value, a args) (bool, error) { return x.contains(a.arg(0, "seq", nil), v) },
		"filter": func(_ *exec, v value, _ args) (bool, error) { s, _ := v.(string); return filters[s] != nil, nil },
		"test":   func(_ *exec, v value, _ args) (bool, error) { s, _ := v.(string); return tests[s] != nil, nil },
	}
	for op, names := range map[string][]string{
		"==": {"eq", "equalto"}, "!=": {"ne"}, "<": {"lt", "lessthan"}, "<=": {"le"}, ">": {"gt", "greaterthan"}, ">=": {"ge"},
	} {
		for _, n := range append(names, op) {
			tests[n] = func(x *exec, v value, a args) (bool, error) {
				if len(a.pos) != 1 {
					return false, fmt.Errorf("test '%s' takes one argument", n)
				}
				return x.holds(op, v, a.pos[0])
			}
		}
	}
}

func (x *exec) test(e testExpr, s *scope) (value, error) {
	v, err := x.eval(e.x, s)
	if err != nil {
		return nil, err
	}
	a, err := x.evalArgs(e.args, s)
	if err != nil {
		return nil, err
	}
	return x.applyTest(e.name, v, a)
}

func (x *exec) applyTest(name string, v value, a args) (bool, error) {
	fn, ok := tests[name]
	if !ok {
		return false, fmt.Errorf("no test named '%s'", name)
	}
	return fn(x, plain(v), a)
}

func iterable(v value) bool {
	switch v.(type) {
	case string, *list, *dict, *loop, undefined:
		return true
	}
	return false
}

// sequence is what has a length and items, which includes mappings and, in jinja2, what is undefined.
func sequence(v value) bool {
	switch v := v.(type) {
	case string, *dict, undefined:
		return true
	case *list:
		return v.indexed()
	}
	return false
}

func callable(v value) bool {
	switch v.(type) {
	case *function, *macro, *loop, *joiner:
		return true
	}
	return false
}

func remainder(n, want int64) testFunc {
	return func(x *exec, v value, _ args) (bool, error) {
		if isString(v) {
			return false, errors.New("not all arguments converted during string formatting")
		}
		r, err := x.arith("%", v, n)
		return err == nil && x.equal(r, want), err
	}
}

// same is Python's is, with plain values the same where type and value are.
func same(a, b value) bool {
	switch a.(type) {
	case undefined:
		return false
	}
	return typeName(a) == typeName(b) && a == b
}
