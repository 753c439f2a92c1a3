package block

import (
	"math"

	"github.com/moeconv/moeconv/gguf"
)

// An NVFP4 block: four unsigned E4M3 scales, one for 16 values, then 8 bytes of nibbles for each. Byte j of these holds
// values j and j+8. Value = ue4m3(scale)/2 * mxfp4Values[q].
const (
	lenNVFP4  = 64
	sizeNVFP4 = 4 + lenNVFP4/2
)

func init() {
	// All bytes are valid scales.
	register(Codec{Type: gguf.NVFP4, Encode: encodeNVFP4, Decode: decodeNVFP4, Validate: validate16(gguf.NVFP4)})
}

// encodeNVFP4 maps the largest magnitude of each group to 6, the largest E2M1 value. The reference ignores importance here.
func encodeNVFP4(dst []byte, src, _ []float32) error {
	return eachBlock(gguf.NVFP4, dst, src, blockNVFP4)
}

func blockNVFP4(y []byte, x []float32) (bad float32) {
	for g := range 4 {
		x, q := x[16*g:16*g+16], y[4+8*g:4+8*g+8]
		y[g] = nvfp4Exponent(maxAbs(x) / 6)
		d := nvfp4Scale(y[g])
		for j := range q {
			q[j] = nearestMXFP4(x[j], d) | nearestMXFP4(x[j+8], d)<<4
		}
	}
	return 0
}

// nvfp4Exponent rounds a magnitude to unsigned E4M3, half up. From 248, which would round to 256, all become 0x7e, the largest:
// ggml takes the exponent of 256 for overflow, though 0x7e has it too.
func nvfp4Exponent(f float32) byte {
	switch b := math.Float32bits(f); {
	case f < 1.0/64: // subnormal, in units of 2^-9
		return byte(min(7, int(float32(f*512)+0.5)))
	case b < 0x43780000: // below 248
		return byte((b+0x80000)>>20 - (127-7)<<3)
	}
	return 0x7e
}

// nvfp4Scale is half of an unsigned E4M3 number, see mxfp4Values; 0x7f stands for 0, and the highest bit does not count.
func nvfp4Scale(e byte) float32 {
	switch {
	case e == 0x7f:
		return 0
	case e&0x78 == 0:
		return float32(float32(e&7) * (1.0 / 1024))
	}
	return math.Float32frombits(uint32(e&0x7f)<<20 + (127-7-1)<<23)
}

func decodeNVFP4(dst []float32, src []byte) {
	for ; len(dst) >= lenNVFP4; dst, src = dst[lenNVFP4:], src[sizeNVFP4:] {
		for g := range 4 {
			d := nvfp4Scale(src[g])
			y := dst[16*g : 16*g+16]
			for j, q := range src[4+8*g : 4+8*g+8] {
				y[j] = float32(mxfp4Values[q&15] * d)
				y[j+8] = float32(mxfp4Values[q>>4] * d)
			}
		}
	}
}
