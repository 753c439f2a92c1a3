package chat

import (
	"errors"
	"fmt"
	"strings"
)

func (x *exec) slice(e sliceExpr, s *scope) (value, error) {
	v, err := x.eval(e.x, s)
	if err != nil {
		return nil, err
	}
	var bounds [3]*int64
	for i, b := range []expr{e.from, e.to, e.step} {
		if b == nil {
			continue
		}
		n, err := x.eval(b, s)
		if err != nil {
			return nil, err
		}
		if n == nil {
			continue
		}
		k, _, isInt, _ := number(n)
		if !isInt {
			return nil, errors.New("slice indices must be integers or None")
		}
		bounds[i] = &k
	}
	return x.cut(v, bounds[0], bounds[1], bounds[2])
}

// cut is v[from:to:step].
func (x *exec) cut(v value, from, to, step *int64) (value, error) {
	switch v := plain(v).(type) {
	case string:
		if (step == nil || *step == 1) && isASCII(v) {
			a, b, _, _ := sliceRange(len(v), from, to, nil)
			return v[a:max(a, b)], nil
		}
		chars, err := x.iterate(v)
		if err != nil {
			return nil, err
		}
		part, err := pick(chars, from, to, step)
		var b strings.Builder
		for _, c := range part {
			b.WriteString(c.(string))
		}
		return b.String(), err
	case *list:
		if v.indexed() {
			part, err := pick(v.items, from, to, step)
			return &list{items: part, kind: v.kind}, err
		}
	case undefined:
		return nil, v.err()
	}
	return nil, fmt.Errorf("'%s' object is not subscriptable", typeName(v))
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// pick takes the items of a slice.
func pick(items []value, from, to, step *int64) ([]value, error) {
	a, b, by, err := sliceRange(len(items), from, to, step)
	if err != nil {
		return nil, err
	}
	var out []value
	for i := a; by > 0 && i < b || by < 0 && i > b; i += by {
		out = append(out, items[i])
	}
	return out, nil
}

// sliceRange resolves a slice of n items to its first index, the one it ends before, and the step, as Python's slice.indices.
func sliceRange(n int, from, to, step *int64) (a, b, by int, err error) {
	by = 1
	if step != nil {
		if *step == 0 {
			return 0, 0, 1, errors.New("slice step cannot be zero")
		}
		by = int(max(min(*step, int64(n)+1), -int64(n)-1))
	}
	lo, hi := 0, n
	a, b = 0, n
	if by < 0 {
		lo, hi = -1, n-1
		a, b = n-1, -1
	}
	clamp := func(p *int64, missing int) int {
		if p == nil {
			return missing
		}
		i := *p
		if i < 0 {
			i += int64(n)
		}
		return int(max(int64(lo), min(i, int64(hi))))
	}
	return clamp(from, a), clamp(to, b), by, nil
}
