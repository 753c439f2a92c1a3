package block

import (
	"fmt"
	"math"

	"github.com/moeconv/moeconv/gguf"
)

// A Q8_K super-block: float32 scale d, 256 int8, int16 sums of each 16 of them. Value = d*q.
// It is a type of activations only: ggml multiplies rows of the _K types with it.
const sizeQ8_K = 4 + len256 + 2*16

func init() {
	register(Codec{Type: gguf.Q8_K, Encode: encodeQ8_K, Decode: decodeQ8_K, Validate: validateQ8_K})
}

func encodeQ8_K(dst []byte, src, importance []float32) error {
	return each256(gguf.Q8_K, dst, src, nil, blockQ8_K)
}

// blockQ8_K maps the value of largest magnitude to -127 and rounds half to even.
func blockQ8_K(y []byte, x, _ *[len256]float32) (bad float32) {
	var amax, top float32
	for _, v := range x {
		if a := abs32(v); a > amax {
			amax, top = a, v
		}
	}
	if amax == 0 {
		clear(y)
		return 0
	}
	inverse := -127 / top
	q, sums := y[4:4+len256], y[4+len256:sizeQ8_K]
	for g := range 16 {
		sum := 0
		for i := 16 * g; i < 16*g+16; i++ {
			v := int8(min(127, nearestInt(float32(inverse*x[i]))))
			q[i] = byte(v)
			sum += int(v)
		}
		store16(sums[2*g:], uint16(int16(sum)))
	}
	store32(y[:4], math.Float32bits(1/inverse))
	return 0
}

func decodeQ8_K(dst []float32, src []byte) {
	for ; len(dst) >= len256; dst, src = dst[len256:], src[sizeQ8_K:] {
		y, x := (*[len256]float32)(dst), (*[sizeQ8_K]byte)(src)
		d := math.Float32frombits(load32(x[:4]))
		for i := range y {
			y[i] = float32(d * float32(int8(x[4+i])))
		}
	}
}

func validateQ8_K(src []byte) error {
	if len(src)%sizeQ8_K != 0 {
		return fmt.Errorf("block: Q8_K: %d bytes are not whole blocks of %d", len(src), sizeQ8_K)
	}
	for b := 0; b < len(src)/sizeQ8_K; b++ {
		if d := load32(src[b*sizeQ8_K:]); d&0x7f800000 == 0x7f800000 {
			return &ScaleError{Type: gguf.Q8_K, Block: b, Value: math.Float32frombits(d)}
		}
	}
	return nil
}
