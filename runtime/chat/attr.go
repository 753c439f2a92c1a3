package chat

import "fmt"

// attribute is v.name: a method or attribute of the value's type, else its item of that name.
func attribute(v value, name string) (value, error) {
	switch v := plain(v).(type) {
	case undefined:
		return nil, v.err()
	case *dict:
		if m, ok := dictMethod(v, name); ok {
			return m, nil
		}
		if it, ok := v.get(name); ok {
			return it, nil
		}
	case string:
		if m, ok := stringMethod(v, name); ok {
			return m, nil
		}
	case *list:
		if m, ok := listMethod(v, name); ok {
			return m, nil
		}
	case *namespace:
		if it, ok := v.attrs.get(name); ok {
			return it, nil
		}
	case *loop:
		if it, ok := v.attr(name); ok {
			return it, nil
		}
	case *macro:
		if name == "name" {
			return v.name, nil
		}
	case *joiner, *cycler:
		if m, ok := cyclerAttr(v, name); ok {
			return m, nil
		}
	}
	return undefined{fmt.Sprintf("'%s object' has no attribute '%s'", typeName(v), name)}, nil
}

// item is v[k]: an item, else the attribute of that name.
func item(v, k value) (value, error) {
	v = plain(v)
	switch c := v.(type) {
	case undefined:
		return nil, c.err()
	case *dict:
		if it, ok := c.get(k); ok {
			return it, nil
		}
	case *list:
		if it, ok := at(len(c.items), k); ok && c.indexed() {
			return c.items[it], nil
		}
	case string:
		if it, ok := charAt(c, k); ok {
			return it, nil
		}
	}
	if name, ok := plain(k).(string); ok {
		if c, ok := v.(*dict); ok { // get found no such key
			if m, ok := dictMethod(c, name); ok {
				return m, nil
			}
		} else {
			return attribute(v, name)
		}
	}
	return undefined{fmt.Sprintf("'%s object' has no item %s", typeName(v), repr(k))}, nil
}

// at resolves an index, from the end where negative.
func at(n int, k value) (int, bool) {
	i, _, isInt, _ := number(k)
	if i < 0 {
		i += int64(n)
	}
	return int(i), isInt && i >= 0 && i < int64(n)
}

func charAt(s string, k value) (value, bool) {
	if isASCII(s) {
		i, ok := at(len(s), k)
		if !ok {
			return nil, false
		}
		return s[i : i+1], true
	}
	runes := []rune(s)
	i, ok := at(len(runes), k)
	if !ok {
		return nil, false
	}
	return string(runes[i]), true
}
