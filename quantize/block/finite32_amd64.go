//go:build amd64 && !purego

package block

//go:generate go run -C _asm . -gen finite32 -out ../finite32_amd64.s -stubs ../finite32_stubs_amd64.go -pkg block

func init() {
	finite32[avx2] = finite32AVX2
	finite32[avx512] = finite32AVX512
}
