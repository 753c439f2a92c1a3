package chat

import "fmt"

// dict is a mapping that keeps the order in which keys came.
type dict struct {
	index map[value]int
	keys  []value
	vals  []value
}

func newDict() *dict { return &dict{index: map[value]int{}} }

func (d *dict) len() int { return len(d.keys) }

// hashable is the form of a key under which Python finds it: 1, 1.0 and True are one key.
func hashable(k value) (value, error) {
	switch v := plain(k).(type) {
	case nil, string, int64, undefined:
		return v, nil
	case bool:
		i, _, _, _ := number(v)
		return i, nil
	case float64:
		if i := int64(v); float64(i) == v {
			return i, nil
		}
		return v, nil
	case *list:
		if v.kind == aTuple {
			return fmt.Sprintf("\x00tuple %s", repr(v)), nil // tuples of plain values are told apart by how they are written
		}
	}
	return nil, fmt.Errorf("unhashable type: '%s'", typeName(k))
}

// get finds a value; ok is false where the key is not there.
func (d *dict) get(k value) (v value, ok bool) {
	h, err := hashable(k)
	if err != nil {
		return nil, false
	}
	i, ok := d.index[h]
	if !ok {
		return nil, false
	}
	return d.vals[i], true
}

// set adds or replaces; a replaced key keeps its place.
func (d *dict) set(k, v value) error {
	h, err := hashable(k)
	if err != nil {
		return err
	}
	if i, ok := d.index[h]; ok {
		d.vals[i] = v
		return nil
	}
	d.index[h] = len(d.keys)
	d.keys, d.vals = append(d.keys, k), append(d.vals, v)
	return nil
}

// put is set for a key that is a string.
func (d *dict) put(k string, v value) *dict {
	_ = d.set(k, v) // strings can be hashed
	return d
}

func (d *dict) equal(x *exec, o *dict, depth int) bool {
	if d.len() != o.len() {
		return false
	}
	for i, k := range d.keys {
		if v, ok := o.get(k); !ok || !x.equalAt(d.vals[i], v, depth+1) {
			return false
		}
	}
	return true
}

// pairs are the items as tuples.
func (d *dict) pairs() []value {
	out := make([]value, d.len())
	for i, k := range d.keys {
		out[i] = tuple(k, d.vals[i])
	}
	return out
}

func (d *dict) copy() *dict {
	c := newDict()
	for i, k := range d.keys {
		_ = c.set(k, d.vals[i]) // was hashed before
	}
	return c
}
