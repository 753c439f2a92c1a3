//go:build amd64 && !purego

package block

import "github.com/moeconv/moeconv/gguf"

//go:generate go -C _asm run . -gen iq4 -out ../iq4_amd64.s -stubs ../iq4_stubs_amd64.go -pkg block

func init() {
	wide, narrow := kernelsIQ4{wide: true}, kernelsIQ4{}
	accelerate(gguf.IQ4_NL, avx512, kernels{encode: wide.encodeNL, decode: wide.decodeNL})
	accelerate(gguf.IQ4_NL, avx2, kernels{encode: narrow.encodeNL, decode: narrow.decodeNL})
	accelerate(gguf.IQ4_XS, avx512, kernels{encode: wide.encodeXS, decode: wide.decodeXS})
	accelerate(gguf.IQ4_XS, avx2, kernels{encode: narrow.encodeXS, decode: narrow.decodeXS})
}

// kernelsIQ4 calls the kernels of a form. Those that fit work on groups of blocks of 32, one a lane; the calls are
// written out so that nothing of their arguments escapes.
type kernelsIQ4 struct{ wide bool }

func (k kernelsIQ4) lanes() int {
	if k.wide {
		return 16
	}
	return 8
}

func (k kernelsIQ4) fit(scales, src *float32, groups int) {
	if k.wide {
		fitIQ4AVX512(scales, src, groups)
	} else {
		fitIQ4AVX2(scales, src, groups)
	}
}

func (k kernelsIQ4) fitWeighted(scales, src, importance, sigma2 *float32, groups int) {
	if k.wide {
		fitIQ4WeightedAVX512(scales, src, importance, sigma2, groups)
	} else {
		fitIQ4WeightedAVX2(scales, src, importance, sigma2, groups)
	}
}

func (k kernelsIQ4) pack(dst *byte, src, inverse *float32, blocks, stride int) {
	if k.wide {
		packIQ4AVX512(dst, src, inverse, blocks, stride)
	} else {
		packIQ4AVX2(dst, src, inverse, blocks, stride)
	}
}

func (k kernelsIQ4) unpack(dst *float32, src *byte, scales *float32, blocks, stride int) {
	if k.wide {
		unpackIQ4AVX512(dst, src, scales, blocks, stride)
	} else {
		unpackIQ4AVX2(dst, src, scales, blocks, stride)
	}
}

// batchIQ4 is the number of blocks of 32 that are encoded or decoded at a time, and scalesIQ4 what belongs to each.
const batchIQ4 = 128

type scalesIQ4 [batchIQ4]float32

// fitAll finds the scales of up to batchIQ4 blocks, at least a group. The weights of each run of a length depend on the
// sum of its squares. It gives up where a scale or such a sum is not finite.
func (k kernelsIQ4) fitAll(scales *scalesIQ4, src, importance []float32, length int) (ok bool) {
	blocks := len(src) / len32
	if importance == nil {
		inGroups(blocks, k.lanes(), func(at, groups int) { k.fit(&scales[at], &src[at*len32], groups) })
		return notFinite(scales[:blocks]) < 0
	}
	var sums, sigma2 scalesIQ4
	runSums(sums[:], src, length, k.wide)
	for i := range blocks {
		sigma2[i] = float32(sums[i*len32/length] * (2 / float32(length)))
	}
	inGroups(blocks, k.lanes(), func(at, groups int) {
		k.fitWeighted(&scales[at], &src[at*len32], &importance[at*len32], &sigma2[at], groups)
	})
	return notFinite(sigma2[:blocks]) < 0 && notFinite(scales[:blocks]) < 0
}

func (k kernelsIQ4) encodeNL(dst []byte, src, importance []float32) error {
	return k.encode(gguf.IQ4_NL, dst, src, importance)
}

func (k kernelsIQ4) encodeXS(dst []byte, src, importance []float32) error {
	return k.encode(gguf.IQ4_XS, dst, src, importance)
}

// encode leaves rows with a scale that is not finite to the portable form, and so their errors.
func (k kernelsIQ4) encode(t gguf.Type, dst []byte, src, importance []float32) error {
	blocks := len(src) / len32
	if k.wide && blocks < k.lanes() {
		k.wide = false
	}
	if blocks < k.lanes() {
		return codecs[t].Encode(dst, src, importance)
	}
	size := t.BlockSize() * len32 / t.BlockLen()
	var scales scalesIQ4
	for at := 0; at < blocks; {
		n := min(batchIQ4, blocks-at)
		if n < k.lanes() {
			at, n = blocks-k.lanes(), k.lanes()
		}
		y, x, w := dst[at*size:(at+n)*size], src[at*len32:(at+n)*len32], importance
		if w != nil {
			w = w[at*len32 : (at+n)*len32]
		}
		ok := k.fitAll(&scales, x, w, t.BlockLen())
		if t == gguf.IQ4_NL {
			ok = ok && k.finishNL(y, x, &scales)
		} else {
			ok = ok && k.finishXS(y, x, &scales)
		}
		if !ok {
			return codecs[t].Encode(dst, src, importance)
		}
		at += n
	}
	return nil
}

func (k kernelsIQ4) finishNL(y []byte, x []float32, scales *scalesIQ4) (ok bool) {
	blocks := len(x) / len32
	for b, s := range scales[:blocks] {
		if _, bad := storeScale(y[b*sizeIQ4_NL:], s); bad != 0 {
			return false
		}
		scales[b] = inverseOrZero(s)
	}
	k.pack(&y[2], &x[0], &scales[0], blocks, sizeIQ4_NL)
	return true
}

func (k kernelsIQ4) finishXS(y []byte, x []float32, scales *scalesIQ4) (ok bool) {
	for b := range len(x) / len256 {
		inverses, bad := roundIQ4_XS(y[b*sizeIQ4_XS:], (*[8]float32)(scales[8*b:]))
		if bad != 0 {
			return false
		}
		k.pack(&y[b*sizeIQ4_XS+8], &x[b*len256], &inverses[0], 8, 16)
	}
	return true
}

func (k kernelsIQ4) decodeNL(dst []float32, src []byte) {
	var scales scalesIQ4
	for len(dst) > 0 {
		blocks := min(batchIQ4, len(dst)/len32)
		for b := range blocks {
			scales[b] = F16ToF32(load16(src[b*sizeIQ4_NL:]))
		}
		k.unpack(&dst[0], &src[2], &scales[0], blocks, sizeIQ4_NL)
		dst, src = dst[blocks*len32:], src[blocks*sizeIQ4_NL:]
	}
}

func (k kernelsIQ4) decodeXS(dst []float32, src []byte) {
	for ; len(dst) >= len256; dst, src = dst[len256:], src[sizeIQ4_XS:] {
		scales := scalesIQ4_XS(src)
		k.unpack(&dst[0], &src[8], &scales[0], 8, 16)
	}
}
