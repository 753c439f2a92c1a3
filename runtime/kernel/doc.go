// Package kernel holds the arithmetic of the runtime: matrix products, the
// rounding of activations, softmax and SiLU. Nothing here starts a goroutine and
// nothing knows a model.
//
// Portable Go is the specification; assembly (AVX2 with FMA and AVX-512 with VNNI on
// amd64, build tag purego leaves it out) is chosen when the program starts. Every sum
// has a fixed order that depends on its length alone. So a value is the same whatever
// tile, batch or thread it was computed in.
//
// MatMul sums in float32: element i of a dot product goes to lane i modulo 8, and lanes
// are added as ((0+1)+(2+3))+((4+5)+(6+7)). Between implementations values differ by
// rounding, since FMA rounds once where the portable form rounds twice: a dot product of
// n elements by at most 1e-6*n times the sum of its products' magnitudes, exp by 4e-7 of
// its value.
//
// Weights are used in their encoded form. With AVX2 rows of a common type are multiplied in
// integers with activations rounded to the type that the reference multiplies with (DotType):
// MatMulEncoded. Products are made of encoded rows as they are read, for one token or for four;
// with AVX-512, VNNI and several tokens, of panels of rows unpacked to eight-bit integers. The sum of a
// block's products, in super-blocks with their integer scales, is exact; all that follows has
// one order and no FMA, so the portable form gives the same bits. In all other cases a tile of
// rows is decoded through its codec to float32. Round puts activations on the same grid of
// numbers without leaving float32, so the products are the same, and only their sums round
// differently.
package kernel

//go:generate go -C _asm run . -gen matmul -out ../matmul_amd64.s -stubs ../matmul_amd64.go -pkg kernel
