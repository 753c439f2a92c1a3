package chat

import (
	"errors"
	"slices"
)

// mapFilter is map('filter', args...) and map(attribute='a.b', default=x).
func mapFilter(x *exec, v value, a args) (value, error) {
	if !truth(v) {
		return generator(), nil
	}
	all, err := x.iterate(v)
	if err != nil {
		return nil, err
	}
	f, err := x.mapper(a)
	if err != nil {
		return nil, err
	}
	out := make([]value, len(all))
	for i, it := range all {
		if err := x.step(); err != nil {
			return nil, err
		}
		if out[i], err = f(it); err != nil {
			return nil, err
		}
	}
	return generator(out...), x.fits(16 * len(out))
}

func (x *exec) mapper(a args) (func(value) (value, error), error) {
	if attr, ok := a.kw("attribute"); ok && len(a.pos) == 0 {
		missing, _ := a.kw("default")
		return x.getter(attr, missing)
	}
	if len(a.pos) == 0 {
		return nil, errors.New("map requires a filter argument")
	}
	name, _ := a.pos[0].(string)
	return func(v value) (value, error) {
		return x.applyFilter(name, v, args{slices.Clone(a.pos[1:]), a.names, a.named})
	}, nil
}

// selecting is select, reject, selectattr and rejectattr.
func selecting(byAttr, want bool) filterFunc {
	return func(x *exec, v value, a args) (value, error) {
		if !truth(v) {
			return generator(), nil
		}
		all, err := x.iterate(v)
		if err != nil {
			return nil, err
		}
		get, _ := x.getter(nil, nil)
		if byAttr {
			if len(a.pos) == 0 {
				return nil, errors.New("missing parameter for attribute name")
			}
			if get, err = x.getter(a.pos[0], nil); err != nil {
				return nil, err
			}
			a.pos = a.pos[1:]
		}
		out := generator()
		for _, it := range all {
			if err := x.step(); err != nil {
				return nil, err
			}
			ok, err := x.passes(get, it, a)
			if err != nil {
				return nil, err
			}
			if ok == want {
				out.items = append(out.items, it)
			}
		}
		return out, x.fits(16 * len(out.items))
	}
}

// passes tests what get makes of an item; a's first argument names the test, truth without one.
func (x *exec) passes(get func(value) (value, error), it value, a args) (bool, error) {
	v, err := get(it)
	if err != nil {
		return false, err
	}
	if len(a.pos) == 0 {
		return truth(v), nil
	}
	name, _ := a.pos[0].(string)
	return x.applyTest(name, v, args{a.pos[1:], a.names, a.named})
}
