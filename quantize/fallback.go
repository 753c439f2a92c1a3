package quantize

import (
	"fmt"

	"github.com/moeconv/moeconv/gguf"
)

// Fallback reports a tensor whose rows do not divide into the blocks of the type it should have had.
type Fallback struct {
	Tensor    string
	Columns   int64 // row length
	Want, Got gguf.Type
}

// String is the reason in words.
func (f Fallback) String() string {
	return fmt.Sprintf("%s: rows of %d do not divide into %v's blocks of %d: %v", f.Tensor, f.Columns, f.Want, f.Want.BlockLen(), f.Got)
}

// fallbacks are the types taken in place of those of 256 (Q2_0: 64) elements a block.
var fallbacks = map[gguf.Type]gguf.Type{
	gguf.IQ1_S: gguf.IQ4_NL, gguf.IQ1_M: gguf.IQ4_NL,
	gguf.IQ2_XXS: gguf.IQ4_NL, gguf.IQ2_XS: gguf.IQ4_NL, gguf.IQ2_S: gguf.IQ4_NL,
	gguf.IQ3_XXS: gguf.IQ4_NL, gguf.IQ3_S: gguf.IQ4_NL, gguf.IQ4_XS: gguf.IQ4_NL,
	gguf.Q2_0: gguf.Q4_0, gguf.Q2_K: gguf.Q4_0, gguf.Q3_K: gguf.Q4_0, gguf.TQ1_0: gguf.Q4_0, gguf.TQ2_0: gguf.Q4_0,
	gguf.Q4_K: gguf.Q5_0, gguf.Q5_K: gguf.Q5_1, gguf.Q6_K: gguf.Q8_0,
}

// fit is want, or the type that takes its place when rows of the given length do not divide into
// its blocks: one of 32 elements a block, else F16. It fails for types without a replacement.
func fit(want gguf.Type, columns int64) (gguf.Type, error) {
	if columns%int64(want.BlockLen()) == 0 {
		return want, nil
	}
	got, ok := fallbacks[want]
	if !ok {
		if want.BlockLen() > 32 {
			return 0, fmt.Errorf("rows of %d do not divide into %v's blocks of %d, and nothing takes its place", columns, want, want.BlockLen())
		}
		got = want
	}
	if columns%int64(got.BlockLen()) != 0 {
		got = gguf.F16
	}
	return got, nil
}
