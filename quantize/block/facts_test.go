package block

import "github.com/moeconv/moeconv/gguf"

// fact is what the tests know of a type, its golden apart.
type fact struct {
	rmse   float64  // bounds the error of decode(encode(x)) for normal x of variance 1, about 5 % above ggml's own
	beyond float32  // a weight too large for the type, among others near 1; 0 for types that hold every float32
	scales []int    // byte offsets of the scales that Validate looks at
	bad    [][]byte // what they must not be; bad16 where nil
}

// bad16 are halves that are not finite.
var bad16 = [][]byte{{0, 0x7c}, {0, 0xfc}, {1, 0x7c}, {0, 0x7e}, {0xff, 0xff}}

// bad32 are floats that are not finite.
var bad32 = [][]byte{{0, 0, 0x80, 0x7f}, {0, 0, 0x80, 0xff}, {0, 0, 0xc0, 0x7f}, {1, 0, 0x80, 0x7f}}

var facts = map[gguf.Type]fact{
	gguf.F32:  {scales: []int{0}, bad: bad32},
	gguf.F16:  {rmse: 0.00022, beyond: 65520, scales: []int{0}},
	gguf.BF16: {rmse: 0.0018, beyond: 3.4e38, scales: []int{0}, bad: [][]byte{{0x80, 0x7f}, {0x80, 0xff}, {0xc0, 0x7f}, {0x81, 0x7f}}},

	gguf.Q8_0: {rmse: 0.0062, beyond: 8.4e6, scales: []int{0}},
	gguf.Q8_1: {rmse: 0.0062, beyond: 1e5, scales: []int{0, 2}},
	gguf.Q8_K: {rmse: 0.0078, scales: []int{0}, bad: bad32},

	gguf.Q4_0: {rmse: 0.093, beyond: 5.3e5, scales: []int{0}},
	gguf.Q4_1: {rmse: 0.084, beyond: 1e6, scales: []int{0, 2}},
	gguf.Q5_0: {rmse: 0.048, beyond: 1.1e6, scales: []int{0}},
	gguf.Q5_1: {rmse: 0.041, beyond: 2.1e6, scales: []int{0, 2}},

	gguf.Q2_K: {rmse: 0.31, beyond: 3.2e6, scales: []int{80, 82}},
	gguf.Q3_K: {rmse: 0.17, beyond: 1e7, scales: []int{108}},
	gguf.Q4_K: {rmse: 0.077, beyond: 6.3e7, scales: []int{0, 2}},
	gguf.Q5_K: {rmse: 0.041, beyond: 1.3e8, scales: []int{0, 2}},
	gguf.Q6_K: {rmse: 0.021, beyond: 2.8e8, scales: []int{208}},

	gguf.IQ3_XXS: {rmse: 0.226, beyond: 4e7, scales: []int{0}},
	gguf.IQ3_S:   {rmse: 0.178, beyond: 4e7, scales: []int{0}},
	gguf.IQ4_NL:  {rmse: 0.0795, beyond: 9e6, scales: []int{0}},
	gguf.IQ4_XS:  {rmse: 0.0801, beyond: 3e8, scales: []int{0}},

	gguf.MXFP4: {rmse: 0.12, scales: []int{0}, bad: [][]byte{{0xff}}},
	gguf.NVFP4: {rmse: 0.104}, // all bytes are valid scales

	gguf.Q1_0:  {rmse: 0.62, beyond: 8.4e6, scales: []int{0}},
	gguf.Q2_0:  {rmse: 0.75, beyond: 65520, scales: []int{0}},
	gguf.TQ1_0: {rmse: 0.8, beyond: 65520, scales: []int{52}},
	gguf.TQ2_0: {rmse: 0.8, beyond: 65520, scales: []int{64}},

	gguf.IQ1_S:   {rmse: 0.49, beyond: 1.1e6, scales: []int{0}},
	gguf.IQ1_M:   {rmse: 0.61, beyond: 1.1e6, scales: []int{52}, bad: [][]byte{{0, 0xc0, 0, 0x70}, {0, 0xc0, 0, 0xf0}, {0, 0xf0, 0, 0x70}}},
	gguf.IQ2_XXS: {rmse: 0.36, beyond: 1.2e7, scales: []int{0}},
	gguf.IQ2_XS:  {rmse: 0.32, beyond: 1.1e7, scales: []int{0}},
	gguf.IQ2_S:   {rmse: 0.285, beyond: 1.1e7, scales: []int{0}},
}
