// Package kernel holds the arithmetic of the runtime: matrix products, the
// rounding of activations, softmax and SiLU. Nothing here starts a goroutine and
// nothing knows a model.
//
// Portable Go is the specification; assembly (AVX2 with FMA on amd64, build tag
// purego leaves it out) is chosen when the program starts. Every sum has a fixed
// order that depends on its length alone: element i of a dot product goes to lane
// i modulo 8, and lanes are added as ((0+1)+(2+3))+((4+5)+(6+7)). So a value is
// the same whatever tile, batch or thread it was computed in. Between
// implementations values differ by rounding, since FMA rounds once where the
// portable form rounds twice: a dot product of n elements by at most 1e-6*n times
// the sum of its products' magnitudes, exp by 4e-7 of its value.
//
// Weights are used in their encoded form: a tile of rows is decoded through its
// codec to float32 and multiplied with all tokens of the batch. The reference
// multiplies integers, of the weight's type with an activation row rounded to
// that type's partner (DotType). Round puts the row on the same grid of numbers
// without leaving float32, so the products are the same, and only their sums round
// differently.
package kernel

//go:generate go -C _asm run . -out ../matmul_amd64.s -stubs ../matmul_amd64.go -pkg kernel
