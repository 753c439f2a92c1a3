package chat

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// folded is the key by which strings are sorted without regard to case.
func folded(v value) value {
	if s, ok := v.(string); ok {
		return strings.ToLower(s)
	}
	return v
}

// sortBy sorts stably; what cannot be ordered is an error.
func (x *exec) sortBy(vs []value, key func(v value) value, backwards bool) ([]value, error) {
	out := slices.Clone(vs)
	var failed error
	slices.SortStableFunc(out, func(a, b value) int {
		c, err := x.order("<", key(a), key(b))
		if err != nil && failed == nil {
			failed = err
		}
		if backwards {
			c = -c
		}
		return c
	})
	return out, failed
}

func dictSort(x *exec, v value, a args) (value, error) {
	d, ok := v.(*dict)
	if !ok {
		return nil, fmt.Errorf("'%s' object has no items", typeName(v))
	}
	pos := 0
	switch by := a.arg(1, "by", "key"); by {
	case "key":
	case "value":
		pos = 1
	default:
		return nil, errors.New(`you can only sort by either "key" or "value"`)
	}
	fold := !truth(a.arg(0, "case_sensitive", false))
	out, err := x.sortBy(d.pairs(), func(p value) value {
		k := p.(*list).items[pos]
		if fold {
			return folded(k)
		}
		return k
	}, truth(a.arg(2, "reverse", false)))
	return newList(out...), err
}

// keyed pairs items with the keys by which they are compared.
func (x *exec) keyed(v, attr value, sensitive bool) (all, keys []value, err error) {
	if all, err = x.iterate(v); err != nil {
		return nil, nil, err
	}
	get, err := x.getter(attr, nil)
	if err != nil {
		return nil, nil, err
	}
	keys = make([]value, len(all))
	for i, it := range all {
		if keys[i], err = get(it); err != nil {
			return nil, nil, err
		}
		if !sensitive {
			keys[i] = folded(keys[i])
		}
	}
	return all, keys, x.fits(32 * len(all))
}

func sortFilter(x *exec, v value, a args) (value, error) {
	all, keys, err := x.keyed(v, a.arg(2, "attribute", nil), truth(a.arg(1, "case_sensitive", false)))
	if err != nil {
		return nil, err
	}
	pairs := make([]value, len(all))
	for i := range all {
		pairs[i] = tuple(keys[i], all[i])
	}
	if pairs, err = x.sortBy(pairs, func(p value) value { return p.(*list).items[0] }, truth(a.arg(0, "reverse", false))); err != nil {
		return nil, err
	}
	for i, p := range pairs {
		pairs[i] = p.(*list).items[1]
	}
	return newList(pairs...), nil
}

func unique(x *exec, v value, a args) (value, error) {
	all, keys, err := x.keyed(v, a.arg(1, "attribute", nil), truth(a.arg(0, "case_sensitive", false)))
	if err != nil {
		return nil, err
	}
	seen, out := newDict(), generator()
	for i, k := range keys {
		if _, ok := seen.get(k); ok {
			continue
		}
		if err := seen.set(k, true); err != nil {
			return nil, err
		}
		out.items = append(out.items, all[i])
	}
	return out, nil
}

// extremum is min and max; the first of equals wins.
func extremum(better func(c int) bool) filterFunc {
	return func(x *exec, v value, a args) (value, error) {
		all, keys, err := x.keyed(v, a.arg(1, "attribute", nil), truth(a.arg(0, "case_sensitive", false)))
		if err != nil {
			return nil, err
		}
		if len(all) == 0 {
			return undefined{"no aggregated item, sequence was empty: it"}, nil
		}
		best := 0
		for i := range keys {
			c, err := x.order("<", keys[i], keys[best])
			if err != nil {
				return nil, err
			}
			if c != 2 && better(c) {
				best = i
			}
		}
		return all[best], nil
	}
}

func groupBy(x *exec, v value, a args) (value, error) {
	attr := a.arg(0, "attribute", nil)
	sorted, err := sortFilter(x, v, args{pos: []value{false, a.arg(2, "case_sensitive", false), attr}})
	if err != nil {
		return nil, err
	}
	get, err := x.getter(attr, a.arg(1, "default", nil))
	if err != nil {
		return nil, err
	}
	out := newList()
	var last *list
	for _, it := range sorted.(*list).items {
		k, err := get(it)
		if err != nil {
			return nil, err
		}
		if last == nil || !x.equal(folded(last.items[0]), folded(k)) {
			last = tuple(k, newList())
			out.items = append(out.items, last)
		}
		group := last.items[1].(*list)
		group.items = append(group.items, it)
	}
	return out, nil
}
