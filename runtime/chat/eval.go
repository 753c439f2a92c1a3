package chat

import (
	"fmt"
	"strings"
)

// eval computes an expression.
func (x *exec) eval(e expr, s *scope) (value, error) {
	if err := x.step(); err != nil {
		return nil, err
	}
	switch e := e.(type) {
	case constExpr:
		return e.v, nil
	case nameExpr:
		if v, ok := s.lookup(e.name); ok {
			return v, nil
		}
		return undefined{fmt.Sprintf("'%s'", e.name)}, nil
	case listExpr:
		items, err := x.evalAll(e.items, s)
		return &list{items: items, kind: e.kind}, err
	case dictExpr:
		return x.dictOf(e, s)
	case unaryExpr:
		return x.unary(e, s)
	case binaryExpr:
		return x.binary(e, s)
	case concatExpr:
		return x.concat(e, s)
	case compareExpr:
		return x.compare(e, s)
	case condExpr:
		return x.conditional(e, s)
	case attrExpr:
		return x.onValue(e.x, s, func(v value) (value, error) { return attribute(v, e.name) })
	case indexExpr:
		return x.index(e, s)
	case sliceExpr:
		return x.slice(e, s)
	case callExpr:
		return x.call(e, s)
	case filterExpr:
		return x.onValue(e.x, s, func(v value) (value, error) { return x.filter(e, v, s) })
	case testExpr:
		return x.test(e, s)
	}
	return nil, fmt.Errorf("expression %T", e)
}

func (x *exec) onValue(e expr, s *scope, f func(v value) (value, error)) (value, error) {
	v, err := x.eval(e, s)
	if err != nil {
		return nil, err
	}
	return f(v)
}

func (x *exec) evalAll(es []expr, s *scope) ([]value, error) {
	out := make([]value, len(es))
	for i, e := range es {
		v, err := x.eval(e, s)
		if err != nil {
			return nil, err
		}
		out[i] = v
	}
	return out, nil
}

func (x *exec) dictOf(e dictExpr, s *scope) (value, error) {
	d := newDict()
	for i := range e.keys {
		k, err := x.eval(e.keys[i], s)
		if err != nil {
			return nil, err
		}
		v, err := x.eval(e.vals[i], s)
		if err != nil {
			return nil, err
		}
		if err := d.set(k, v); err != nil {
			return nil, err
		}
	}
	return d, nil
}

func (x *exec) conditional(e condExpr, s *scope) (value, error) {
	c, err := x.eval(e.cond, s)
	switch {
	case err != nil:
		return nil, err
	case truth(c):
		return x.eval(e.then, s)
	case e.other == nil:
		return undefined{"the inline if-expression evaluated to false and no else section was defined, so it"}, nil
	}
	return x.eval(e.other, s)
}

func (x *exec) unary(e unaryExpr, s *scope) (value, error) {
	v, err := x.eval(e.x, s)
	if err != nil {
		return nil, err
	}
	if e.op == "not" {
		return !truth(v), nil
	}
	i, f, isInt, ok := number(v)
	switch {
	case !ok:
		if u, is := v.(undefined); is {
			return nil, u.err()
		}
		return nil, fmt.Errorf("bad operand type for unary %s: '%s'", e.op, typeName(v))
	case isInt && e.op == "-":
		return -i, nil
	case isInt:
		return i, nil
	case e.op == "-":
		return -f, nil
	}
	return f, nil
}

func (x *exec) binary(e binaryExpr, s *scope) (value, error) {
	a, err := x.eval(e.x, s)
	if err != nil {
		return nil, err
	}
	if e.op == "and" && !truth(a) || e.op == "or" && truth(a) {
		return a, nil
	}
	b, err := x.eval(e.y, s)
	if err != nil || e.op == "and" || e.op == "or" {
		return b, err
	}
	return x.arith(e.op, a, b)
}

func (x *exec) concat(e concatExpr, s *scope) (value, error) {
	var b strings.Builder
	for _, p := range e.parts {
		v, err := x.eval(p, s)
		if err != nil {
			return nil, err
		}
		t := str(v)
		if err := x.fits(b.Len() + len(t)); err != nil {
			return nil, err
		}
		b.WriteString(t)
	}
	return b.String(), nil
}

func (x *exec) index(e indexExpr, s *scope) (value, error) {
	v, err := x.eval(e.x, s)
	if err != nil {
		return nil, err
	}
	k, err := x.eval(e.key, s)
	if err != nil {
		return nil, err
	}
	return item(v, k)
}
