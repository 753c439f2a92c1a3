//go:build amd64 && !purego

package kernel

import "github.com/moeconv/moeconv/gguf"

//go:generate go -C _asm run . -gen inputs -out ../inputs_amd64.s -stubs ../inputs_stubs_amd64.go -pkg kernel
//go:generate go -C _asm run . -gen products -out ../products_amd64.s -stubs ../products_stubs_amd64.go -pkg kernel
//go:generate go -C _asm run . -gen unpack_32 -out ../unpack_32_amd64.s -stubs ../unpack_32_stubs_amd64.go -pkg kernel
//go:generate go -C _asm run . -gen unpack_k -out ../unpack_k_amd64.s -stubs ../unpack_k_stubs_amd64.go -pkg kernel

// unpack takes rows of cols elements apart: their whole groups fast.
func (l *layout) unpack(t gguf.Type, dst []weights, src []byte, cols int) {
	if !haveUnpacker(t) {
		l.unpackGeneric(t, dst, src, cols)
		return
	}
	groups, rest := cols/groupLen, cols%groupLen
	if rest == 0 {
		unpackersAVX512[t](&dst[0].quants[0][0][0], &src[0], len(dst))
		return
	}
	whole := groups * groupLen / t.BlockLen() * t.BlockSize()
	size := whole + rest/t.BlockLen()*t.BlockSize()
	for ; len(dst) > 0; dst, src = dst[groups+1:], src[size:] {
		if groups > 0 {
			unpackersAVX512[t](&dst[0].quants[0][0][0], &src[0], groups)
		}
		l.unpackGeneric(t, dst[groups:][:1], src[whole:size], rest)
	}
}

func products(dst Mat, w []weights, x Inputs, rows, tokens int, mins bool) {
	if !useAVX512 {
		productsGeneric(dst, w, x, rows, tokens, mins)
		return
	}
	groups := x.groups
	tile4x4, tile4x1, tile1x1 := products4x4AVX512, products4x1AVX512, products1x1AVX512
	if mins {
		tile4x4, tile4x1, tile1x1 = productsMins4x4AVX512, productsMins4x1AVX512, productsMins1x1AVX512
	}
	t := 0
	for ; t < tokens; t += 4 {
		n, r := min(4, tokens-t), 0
		for ; r+4 <= rows; r += 4 {
			if n == 4 {
				tile4x4(&dst.Data[t*dst.Stride+r], &w[r*groups].quants[0][0][0], &x.data[t*x.stride].quants[0][0][0], dst.Stride, x.stride, groups)
				continue
			}
			for i := t; i < t+n; i++ {
				tile4x1(&dst.Data[i*dst.Stride+r], &w[r*groups].quants[0][0][0], &x.data[i*x.stride].quants[0][0][0], dst.Stride, x.stride, groups)
			}
		}
		for ; r < rows; r++ {
			for i := t; i < t+n; i++ {
				tile1x1(&dst.Data[i*dst.Stride+r], &w[r*groups].quants[0][0][0], &x.data[i*x.stride].quants[0][0][0], dst.Stride, x.stride, groups)
			}
		}
	}
}

func putGroup(dst *inputs, src []float32, blocks32 bool) (ok bool) {
	if useAVX512 && len(src) == groupLen {
		put := putQ8_KAVX512
		if blocks32 {
			put = putQ8_0AVX512
		}
		if put(&dst.quants[0][0][0], &src[0]) {
			return true
		}
	}
	return putGroupGeneric(dst, src, blocks32)
}
