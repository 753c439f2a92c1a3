package chat

import (
	"cmp"
	"fmt"
	"math"
	"math/big"
	"strings"
)

// value is what an expression yields: nil (None), bool, int64, float64, string, markup, *list, *dict, *namespace, *loop,
// *function, *macro, *cycler, *joiner or undefined.
type value = any

// undefined stands for a name or attribute that is not there. It is printed as nothing, is false and empty, and any
// other use of it is an error.
type undefined struct{ what string }

// markup is text that the safe and escape filters made: what is added to it is escaped for HTML. Elsewhere it is a string.
type markup string

// plain is v, with markup as the string it is.
func plain(v value) value {
	if m, ok := v.(markup); ok {
		return string(m)
	}
	return v
}

// list is any of Python's kinds of iterables of items.
type list struct {
	items []value
	kind  listKind
	what  string // of views and generators: what is printed for them
	used  bool   // of generators, which can be iterated once
}

type listKind uint8

const (
	aList listKind = iota
	aTuple
	aRange
	aView      // dict's items(), keys() and values(): no indices
	aGenerator // what map, select and their like yield: no indices, no length, always true
)

var kindNames = map[listKind]string{aList: "list", aTuple: "tuple", aRange: "range", aView: "dict_view", aGenerator: "generator"}

func newList(items ...value) *list { return &list{items: items} }
func tuple(items ...value) *list   { return &list{items: items, kind: aTuple} }
func generator(items ...value) *list {
	return &list{items: items, kind: aGenerator, what: "<generator object>"}
}

// indexed reports whether items can be had by number.
func (l *list) indexed() bool { return l.kind <= aRange }

// namespace is what namespace() makes: the one thing whose attributes a template may set.
type namespace struct{ attrs *dict }

// function is a built-in function or bound method.
type function struct {
	name string
	call func(x *exec, a args) (value, error)
}

// typeName is Python's name of the value's type, as its error messages have it.
func typeName(v value) string {
	switch v := v.(type) {
	case nil:
		return "NoneType"
	case bool:
		return "bool"
	case int64:
		return "int"
	case float64:
		return "float"
	case string, markup:
		return "str"
	case *list:
		return kindNames[v.kind]
	case *dict:
		return "dict"
	case *namespace:
		return "Namespace"
	case undefined:
		return "Undefined"
	}
	return "object"
}

// truth is Python's bool(v).
func truth(v value) bool {
	switch v := v.(type) {
	case nil, undefined:
		return false
	case bool:
		return v
	case int64:
		return v != 0
	case float64:
		return v != 0
	case string:
		return v != ""
	case markup:
		return v != ""
	case *list:
		return len(v.items) > 0 || v.kind == aGenerator
	case *dict:
		return v.len() > 0
	}
	return true
}

// number takes bool, int or float; i is meaningful where isInt.
func number(v value) (i int64, f float64, isInt, ok bool) {
	switch v := v.(type) {
	case bool:
		if v {
			return 1, 1, true, true
		}
		return 0, 0, true, true
	case int64:
		return v, float64(v), true, true
	case float64:
		return 0, v, false, true
	}
	return 0, 0, false, false
}

// equal is Python's ==, which never fails. Every item compared is a step; when the last is taken nothing is equal any
// more, and the next step fails.
func (x *exec) equal(a, b value) bool { return x.equalAt(a, b, 0) }

// maxNesting bounds walks down nested values; JSON input is bounded by it too.
const maxNesting = 200

func (x *exec) equalAt(a, b value, depth int) bool {
	if x.steps++; depth > maxNesting || x.steps > x.limits.Steps {
		return false
	}
	a, b = plain(a), plain(b)
	if _, _, _, ok := number(a); ok {
		if _, _, _, ok := number(b); ok {
			return compareNumbers(a, b) == 0
		}
		return false
	}
	switch a := a.(type) {
	case nil:
		return b == nil
	case string:
		s, ok := b.(string)
		return ok && a == s
	case undefined:
		_, ok := b.(undefined)
		return ok
	case *list:
		l, ok := b.(*list)
		return ok && (a == l || a.indexed() && a.kind == l.kind && x.equalItems(a.items, l.items, depth))
	case *dict:
		d, ok := b.(*dict)
		return ok && a.equal(x, d, depth)
	}
	return a == b // the same object
}

func (x *exec) equalItems(a, b []value, depth int) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !x.equalAt(a[i], b[i], depth+1) {
			return false
		}
	}
	return true
}

// compareNumbers is -1, 0 or 1, exactly also between int and float; 2 where one is NaN.
func compareNumbers(a, b value) int {
	i, f, aInt, _ := number(a)
	j, g, bInt, _ := number(b)
	switch {
	case aInt && bInt:
		return cmp.Compare(i, j)
	case math.IsNaN(f) || math.IsNaN(g):
		return 2
	case aInt == bInt || math.IsInf(f, 0) || math.IsInf(g, 0):
		return cmp.Compare(f, g)
	}
	return exact(i, f, aInt).Cmp(exact(j, g, bInt))
}

func exact(i int64, f float64, isInt bool) *big.Float {
	if isInt {
		return new(big.Float).SetInt64(i)
	}
	return new(big.Float).SetFloat64(f)
}

// order is Python's comparison of a and b: -1, 0, 1, or 2 for unordered numbers; types that cannot be ordered are an error.
func (x *exec) order(op string, a, b value) (int, error) {
	a, b = plain(a), plain(b)
	_, _, _, an := number(a)
	_, _, _, bn := number(b)
	if an && bn {
		return compareNumbers(a, b), nil
	}
	switch l := a.(type) {
	case string:
		if y, ok := b.(string); ok {
			return strings.Compare(l, y), nil
		}
	case *list:
		if y, ok := b.(*list); ok && l.kind <= aTuple && l.kind == y.kind {
			return x.orderItems(op, l.items, y.items)
		}
	}
	if u, ok := firstUndefined(a, b); ok {
		return 0, u.err()
	}
	return 0, fmt.Errorf("'%s' not supported between instances of '%s' and '%s'", op, typeName(a), typeName(b))
}

func (x *exec) orderItems(op string, a, b []value) (int, error) {
	for i := range min(len(a), len(b)) {
		if !x.equal(a[i], b[i]) {
			return x.order(op, a[i], b[i])
		}
	}
	return cmp.Compare(len(a), len(b)), nil
}

// err says that the undefined thing is.
func (u undefined) err() error { return fmt.Errorf("%s is undefined", u.what) }

func firstUndefined(vs ...value) (undefined, bool) {
	for _, v := range vs {
		if u, ok := v.(undefined); ok {
			return u, true
		}
	}
	return undefined{}, false
}
