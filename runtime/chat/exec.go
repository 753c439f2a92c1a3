package chat

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// scope holds the names that statements have set, inside the scope around it.
type scope struct {
	outer *scope
	vars  map[string]value
}

func newScope(outer *scope, vars map[string]value) *scope { return &scope{outer, vars} }

func (s *scope) lookup(name string) (value, bool) {
	for ; s != nil; s = s.outer {
		if v, ok := s.vars[name]; ok {
			return v, true
		}
	}
	return nil, false
}

func (s *scope) set(name string, v value) {
	if s.vars == nil {
		s.vars = map[string]value{}
	}
	s.vars[name] = v
}

// exec is one rendering under way.
type exec struct {
	ctx    context.Context
	limits Limits
	now    func() time.Time
	out    *strings.Builder
	steps  int
	made   int // bytes of values
	depth  int
	line   int

	lenient bool // what transformers' sandbox denies is allowed as far as it does no harm
}

var (
	errBreak    = errors.New("break")
	errContinue = errors.New("continue")
)

// located puts the line at which an error happened to it.
func (x *exec) located(err error) error {
	var raised *RaisedError
	if errors.As(err, &raised) || x.ctx.Err() != nil && errors.Is(err, x.ctx.Err()) {
		return err
	}
	return &RenderError{x.line, err}
}

// step counts work.
func (x *exec) step() error {
	x.steps++
	if x.steps > x.limits.Steps {
		return fmt.Errorf("%w: more than %d steps", ErrLimit, x.limits.Steps)
	}
	if x.steps%1024 == 0 {
		return x.ctx.Err()
	}
	return nil
}

// nested counts a level of macros and loops; the caller takes it back.
func (x *exec) nested() error {
	if x.depth++; x.depth > x.limits.Depth {
		return fmt.Errorf("%w: nested deeper than %d levels", ErrLimit, x.limits.Depth)
	}
	return nil
}

// fits bounds the length of a value that is about to be made, and the sum of all.
func (x *exec) fits(n int) error {
	if n < 0 || n > x.limits.Output {
		return fmt.Errorf("%w: a value of more than %d bytes", ErrLimit, x.limits.Output)
	}
	if x.made += n; x.made > 32*x.limits.Output {
		return fmt.Errorf("%w: values of more than %d bytes altogether", ErrLimit, 32*x.limits.Output)
	}
	return nil
}

func (x *exec) print(s string) error {
	if x.out.Len()+len(s) > x.limits.Output {
		return x.fits(-1)
	}
	x.out.WriteString(s)
	return nil
}

// run executes statements.
func (x *exec) run(body []node, s *scope) error {
	for i := range body {
		x.line = body[i].line
		if err := x.step(); err != nil {
			return err
		}
		if err := x.statement(body[i].stmt, s); err != nil {
			return err
		}
	}
	return nil
}

func (x *exec) statement(st stmt, s *scope) error {
	switch st := st.(type) {
	case textStmt:
		return x.print(st.text)
	case printStmt:
		v, err := x.eval(st.x, s)
		if err != nil {
			return err
		}
		return x.print(str(v))
	case ifStmt:
		return x.ifElse(st, s)
	case forStmt:
		return x.forEach(st, s)
	case setStmt:
		v, err := x.eval(st.x, s)
		if err != nil {
			return err
		}
		return x.assign(st.target, v, s)
	case setBlockStmt:
		v, err := x.captureFiltered(st.body, st.filters, s)
		if err != nil {
			return err
		}
		return x.assign(st.target, v, s)
	case macroStmt:
		s.set(st.name, &macro{st, s})
		return nil
	case callStmt:
		return x.callBlock(st, s)
	case filterStmt:
		v, err := x.captureFiltered(st.body, st.filters, s)
		if err != nil {
			return err
		}
		return x.print(str(v))
	case withStmt:
		return x.with(st, s)
	case scopeStmt:
		return x.run(st.body, newScope(s, nil))
	case breakStmt:
		return errBreak
	case continueStmt:
		return errContinue
	case doStmt:
		_, err := x.eval(st.x, s)
		return err
	}
	return fmt.Errorf("statement %T", st)
}

func (x *exec) ifElse(st ifStmt, s *scope) error {
	for i, c := range st.conds {
		v, err := x.eval(c, s)
		if err != nil {
			return err
		}
		if truth(v) {
			return x.run(st.bodies[i], s)
		}
	}
	return x.run(st.other, s)
}

// capture returns what f prints.
func (x *exec) capture(f func() error) (string, error) {
	was := x.out
	var b strings.Builder
	x.out = &b
	err := f()
	x.out = was
	if err == nil {
		err = x.fits(b.Len())
	}
	return b.String(), err
}

func (x *exec) captureFiltered(body []node, filters []filterExpr, s *scope) (value, error) {
	text, err := x.capture(func() error { return x.run(body, newScope(s, nil)) })
	if err != nil {
		return nil, err
	}
	var v value = text
	for _, f := range filters {
		if v, err = x.filter(f, v, s); err != nil {
			return nil, err
		}
	}
	return v, nil
}

func (x *exec) with(st withStmt, s *scope) error {
	inner := newScope(s, nil)
	for i, t := range st.targets {
		v, err := x.eval(st.values[i], s)
		if err != nil {
			return err
		}
		if err := x.assign(t, v, inner); err != nil {
			return err
		}
	}
	return x.run(st.body, inner)
}

// assign sets a name, an attribute of a namespace, or several targets from the items of v.
func (x *exec) assign(t target, v value, s *scope) error {
	switch {
	case t.attr != "":
		held, _ := s.lookup(t.name)
		ns, ok := held.(*namespace)
		if !ok {
			return errors.New("cannot assign attribute on non-namespace object")
		}
		ns.attrs.put(t.attr, v)
		return nil
	case t.parts == nil:
		s.set(t.name, v)
		return nil
	}
	items, err := x.iterate(v)
	if err != nil {
		return err
	}
	if len(items) != len(t.parts) {
		return fmt.Errorf("%d values to unpack into %d names", len(items), len(t.parts))
	}
	for i, p := range t.parts {
		if err := x.assign(p, items[i], s); err != nil {
			return err
		}
	}
	return nil
}
