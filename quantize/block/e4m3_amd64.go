//go:build amd64 && !purego

package block

//go:generate go -C _asm run . -gen e4m3 -out ../e4m3_amd64.s -stubs ../e4m3_stubs_amd64.go -pkg block

func init() {
	scaleE4M3[avx2] = scaleE4M3AVX2
	scaleE4M3[avx512] = scaleE4M3AVX512
}
