package convert

import (
	"fmt"

	"github.com/moeconv/moeconv/convert/family"
)

// apply makes the view that a rule's op says of a source's. Each op has a file of its own.
func apply(o family.Op, in view) (view, error) {
	if columnar(o) && len(in.shape()) == 1 { // a bias: its values are the rows
		return applyColumn(o, in)
	}
	switch o := o.(type) {
	case family.Copy, family.Stack:
		return in, nil
	case family.As:
		return apply(o.Op, in)
	case family.Chain:
		return applyChain(o, in)
	case family.PermuteRope:
		return newPermuteRope(in, o.Heads)
	case family.Rows:
		return newRows(in, o)
	case family.Columns:
		return newColumns(in, o)
	case family.Transpose:
		return newTranspose(in)
	case family.Group:
		return newGroup(in, o)
	case family.Flatten:
		return newFlatten(in)
	case family.Reshape:
		return newReshape(in, o)
	case family.Swap:
		return newSwap(in)
	case family.Join:
		return newJoin(in, o)
	case family.Map:
		return newMap(in, o)
	case family.Normalize:
		return newNormalize(in)
	}
	return nil, fmt.Errorf("op %T is not implemented", o)
}

func applyChain(c family.Chain, in view) (view, error) {
	var err error
	for _, o := range c {
		if in, err = apply(o, in); err != nil {
			return nil, err
		}
	}
	return in, nil
}

// columnar reports whether an op works on the rows of a matrix.
func columnar(o family.Op) bool {
	switch o.(type) {
	case family.PermuteRope, family.Rows:
		return true
	}
	return false
}

// applyColumn applies an op for rows to a vector.
func applyColumn(o family.Op, in view) (view, error) {
	col, err := newReshape(in, family.Reshape{Dims: []int64{0, 1}})
	if err != nil {
		return nil, err
	}
	out, err := apply(o, col)
	if err != nil {
		return nil, err
	}
	return newReshape(out, family.Reshape{Dims: []int64{0}})
}
