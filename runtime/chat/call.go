package chat

import (
	"errors"
	"fmt"
	"slices"
)

// args are evaluated arguments.
type args struct {
	pos   []value
	names []string
	named []value
}

// kw is a named argument.
func (a *args) kw(name string) (value, bool) {
	if i := slices.Index(a.names, name); i >= 0 {
		return a.named[i], true
	}
	return nil, false
}

// arg is the i-th parameter, called name, or what stands for it if not given.
func (a *args) arg(i int, name string, missing value) value {
	if i < len(a.pos) {
		return a.pos[i]
	}
	if v, ok := a.kw(name); ok {
		return v
	}
	return missing
}

// takes fails unless there are between lo and hi positional arguments, named ones of the given names counted in.
func (a *args) takes(what string, lo, hi int, names ...string) error {
	n := len(a.pos) + len(a.names)
	if n < lo || n > hi {
		return fmt.Errorf("%s() takes %d to %d arguments, %d given", what, lo, hi, n)
	}
	for _, k := range a.names {
		if !slices.Contains(names, k) {
			return fmt.Errorf("%s() got an unexpected keyword argument '%s'", what, k)
		}
	}
	return nil
}

func (x *exec) evalArgs(c callArgs, s *scope) (a args, err error) {
	if a.pos, err = x.evalAll(c.pos, s); err != nil {
		return a, err
	}
	for i, v := range a.pos {
		a.pos[i] = plain(v)
	}
	a.names = slices.Clone(c.names)
	if a.named, err = x.evalAll(c.named, s); err != nil {
		return a, err
	}
	if c.list != nil {
		v, err := x.eval(c.list, s)
		if err != nil {
			return a, err
		}
		more, err := x.iterate(v)
		if err != nil {
			return a, err
		}
		a.pos = append(a.pos, more...)
	}
	if c.dict == nil {
		return a, nil
	}
	v, err := x.eval(c.dict, s)
	if err != nil {
		return a, err
	}
	d, ok := v.(*dict)
	if !ok {
		return a, fmt.Errorf("argument after ** must be a mapping, not %s", typeName(v))
	}
	for i, k := range d.keys {
		name, ok := k.(string)
		if !ok {
			return a, errors.New("keywords must be strings")
		}
		a.names, a.named = append(a.names, name), append(a.named, d.vals[i])
	}
	return a, nil
}

func (x *exec) call(e callExpr, s *scope) (value, error) {
	fn, err := x.eval(e.fn, s)
	if err != nil {
		return nil, err
	}
	a, err := x.evalArgs(e.args, s)
	if err != nil {
		return nil, err
	}
	return x.invoke(fn, a, nil)
}

// invoke calls a function; caller is what a call block hands to a macro.
func (x *exec) invoke(fn value, a args, caller *macro) (value, error) {
	switch f := fn.(type) {
	case *function:
		return f.call(x, a)
	case *macro:
		return f.invoke(x, a, caller)
	case *loop:
		if f.again == nil || len(a.pos) != 1 {
			return nil, errors.New("the loop is not recursive, or not called with one argument")
		}
		return f.again(a.pos[0])
	case *joiner:
		return f.call(), nil
	case undefined:
		return nil, f.err()
	}
	return nil, fmt.Errorf("'%s' object is not callable", typeName(fn))
}

// macro is a function written in the template.
type macro struct {
	macroStmt
	scope *scope // where it was defined
}

// invoke binds arguments and runs the body; what that prints is the result.
func (m *macro) invoke(x *exec, a args, caller *macro) (value, error) {
	if err := x.nested(); err != nil {
		return nil, err
	}
	defer func() { x.depth-- }()
	line := x.line
	s := newScope(m.scope, map[string]value{})
	if caller != nil {
		s.vars["caller"] = caller
	}
	if err := m.bind(x, a, s); err != nil {
		return nil, err
	}
	text, err := x.capture(func() error { return x.run(m.body, s) })
	if err == nil {
		x.line = line
	}
	return text, err
}

func (m *macro) bind(x *exec, a args, s *scope) error {
	rest := newDict()
	for i, n := range a.names {
		j := slices.Index(m.params, n)
		switch {
		case j >= 0 && j < len(a.pos):
			return fmt.Errorf("macro '%s' got multiple values for argument '%s'", m.name, n)
		case j >= 0:
			s.vars[n] = a.named[i]
		default:
			rest.put(n, a.named[i])
		}
	}
	for i, p := range m.params {
		if i < len(a.pos) {
			s.vars[p] = a.pos[i]
		} else if _, ok := s.vars[p]; !ok {
			v, err := m.missing(x, i, s)
			if err != nil {
				return err
			}
			s.vars[p] = v
		}
	}
	return m.extra(a, rest, s)
}

// missing is the default of parameter i.
func (m *macro) missing(x *exec, i int, s *scope) (value, error) {
	if d := i - (len(m.params) - len(m.defaults)); d >= 0 {
		return x.eval(m.defaults[d], s)
	}
	return undefined{fmt.Sprintf("parameter '%s' was not provided, it", m.params[i])}, nil
}

// extra hands arguments without a parameter to varargs and kwargs, which a macro must use to be given them.
func (m *macro) extra(a args, rest *dict, s *scope) error {
	more := []value{}
	if len(a.pos) > len(m.params) {
		more = a.pos[len(m.params):]
	}
	if len(more) > 0 && !mentions(m.body, "varargs") {
		return fmt.Errorf("macro '%s' takes not more than %d argument(s)", m.name, len(m.params))
	}
	if rest.len() > 0 && !mentions(m.body, "kwargs") {
		return fmt.Errorf("macro '%s' takes no keyword argument %s", m.name, repr(rest.keys[0]))
	}
	s.vars["varargs"], s.vars["kwargs"] = tuple(more...), rest
	return nil
}

func (x *exec) callBlock(st callStmt, s *scope) error {
	e := st.call.(callExpr)
	fn, err := x.eval(e.fn, s)
	if err != nil {
		return err
	}
	a, err := x.evalArgs(e.args, s)
	if err != nil {
		return err
	}
	v, err := x.invoke(fn, a, &macro{st.macro, s})
	if err != nil {
		return err
	}
	return x.print(str(v))
}
