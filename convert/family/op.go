package family

import "github.com/moeconv/moeconv/gguf/names"

// Op is a transform; package convert implements each in a file of its own. Ops that speak of rows mean the
// second-innermost dimension of a tensor, or the values of a vector; columns are the innermost dimension.
type Op interface{ op() }

// Copy takes the tensor as it is.
type Copy struct{}

// Stack makes one tensor of all experts' (From holds {x}). Tensors of one block that share a
// Group are written together, in the order of the rules, once the last of them has been read.
type Stack struct {
	Experts int64 // of each block
	Group   string
	Each    Op // applied to each expert before; nil for none
}

// PermuteRope reorders the rows of each head from halves to neighbours, as llama.cpp's RopeNorm needs them.
type PermuteRope struct {
	Heads int64 // of the tensor: query heads, or key-value heads
}

// Rows takes Count rows (0: all there are), every Step-th (0: each) from From on.
type Rows struct{ From, Count, Step int64 }

// Columns takes Count columns (0: all there are), every Step-th (0: each) from From on.
type Columns struct{ From, Count, Step int64 }

// Transpose swaps the two innermost dimensions.
type Transpose struct{}

// Group cuts the outermost dimension into Heads parts: a new outermost dimension.
type Group struct{ Heads int64 }

// Flatten joins the two outermost dimensions, Group's inverse.
type Flatten struct{}

// Reshape gives other dimensions, outermost first, of which one may be 0: what remains.
type Reshape struct{ Dims []int64 }

// Swap exchanges the second- and the third-innermost dimension.
type Swap struct{}

// Join puts what each op makes of the tensor one below the other.
type Join []Op

// Map computes each value anew, in F32, rounded to F16 where the checkpoint has that.
type Map struct{ Func func(float32) float32 }

// Normalize divides each column by its Euclidean norm over the rows, in F32.
type Normalize struct{}

// Chain applies ops one after the other.
type Chain []Op

// Split makes several tensors of one, in this order.
type Split []Part

// Part is one tensor of a Split.
type Part struct {
	To names.Role
	Op Op
}

// As names the suffix where it is not the source's; empty for none.
type As struct {
	Suffix string
	Op     Op
}

// First has its tensors written before those of the rules without it.
type First struct{ Op Op }

// Drop leaves the tensor out.
type Drop struct{}

func (Copy) op()        {}
func (Stack) op()       {}
func (PermuteRope) op() {}
func (Rows) op()        {}
func (Columns) op()     {}
func (Transpose) op()   {}
func (Group) op()       {}
func (Flatten) op()     {}
func (Reshape) op()     {}
func (Swap) op()        {}
func (Join) op()        {}
func (Map) op()         {}
func (Normalize) op()   {}
func (Chain) op()       {}
func (Split) op()       {}
func (As) op()          {}
func (First) op()       {}
func (Drop) op()        {}
