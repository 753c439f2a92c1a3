package convert

import (
	"fmt"

	"github.com/moeconv/moeconv/convert/family"
)

// segment is a run of source rows that land in the output evenly spaced.
type segment struct {
	src    int   // index of the source tensor
	row    int64 // first row there
	n      int64
	dst    int64 // output row of the first one
	stride int64 // output rows from one to the next
}

// op says which source rows make an output tensor's rows. One file each.
type op interface {
	// units is the number of rows that are cheap to make together.
	units() int64
	// segments lists what makes output rows from row on, n of them. Every output row is covered once.
	segments(row, n int64) []segment
}

// newOp makes the op of a rule for source tensors of rows rows each.
func newOp(o family.Op, rows int64) (op, error) {
	switch o := o.(type) {
	case family.Copy:
		return copyRows{}, nil
	case family.Stack:
		return stackExperts{rows}, nil
	case family.PermuteRope:
		return newPermuteRope(rows, o.Heads)
	}
	return nil, fmt.Errorf("convert: op %T is not implemented", o)
}
