package kernel

import (
	"fmt"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/quantize/block"
)

// DotType is the type that the reference rounds an activation row to before it multiplies it with weights of type t.
// F32 is not to round at all. For Q4_1 and Q5_1 the reference uses Q8_1, which has Q8_0's values beside their sum.
func DotType(t gguf.Type) gguf.Type {
	switch {
	case t == gguf.F16 || t == gguf.BF16:
		return t
	case t.BlockLen() == 32:
		return gguf.Q8_0
	case t.BlockLen() == 256:
		return gguf.Q8_K
	}
	return gguf.F32
}

// Rounder rounds rows to a type and back. It holds memory to encode in, so each worker has its own.
type Rounder struct{ buf []byte }

// Round sets dst to src, rounded to type t. The rows may be the same.
// It fails when src holds a value that t cannot hold, or its length is no multiple of t's block.
func (r *Rounder) Round(t gguf.Type, dst, src []float32) error {
	if t == gguf.Q8_0 {
		if len(src)%32 != 0 {
			return fmt.Errorf("kernel: activations: a row of %d elements is not whole blocks of Q8_0", len(src))
		}
		return roundQ8_0(dst[:len(src)], src)
	}
	buf, err := r.Encoded(t, src)
	if err != nil {
		return err
	}
	c, _ := block.For(t)
	c.Decode(dst[:len(src)], buf)
	return nil
}

// Encoded is src, whole blocks of type t, in memory that the next call uses again.
func (r *Rounder) Encoded(t gguf.Type, src []float32) ([]byte, error) {
	n, err := t.RowBytes(int64(len(src)))
	if err != nil {
		return nil, err
	}
	if int64(cap(r.buf)) < n {
		r.buf = make([]byte, n)
	}
	return r.buf[:n], r.Encode(t, r.buf[:n], src)
}

// roundQ8_0 puts whole blocks on their grid.
func roundQ8_0(dst, src []float32) error {
	var q [32]int8
	for len(src) >= 32 {
		d, ok := quantsQ8_0(&q, src)
		if !ok {
			return fmt.Errorf("kernel: activations: a value is too large for Q8_0")
		}
		for i, v := range q {
			dst[i] = float32(v) * d
		}
		dst, src = dst[32:], src[32:]
	}
	return nil
}

// Encode encodes src, whole blocks of type t, to dst.
func (r *Rounder) Encode(t gguf.Type, dst []byte, src []float32) error {
	c, ok := block.For(t)
	if !ok || c.Encode == nil {
		return fmt.Errorf("kernel: activations of type %v: no codec", t)
	}
	if err := c.Encode(dst, src, nil); err != nil {
		return fmt.Errorf("kernel: activations: %w", err)
	}
	return nil
}

// DecoderOf is what turns encoded rows of type t into float32; rows are whole blocks.
func DecoderOf(t gguf.Type) (decode func(dst []float32, src []byte), ok bool) {
	c, ok := block.For(t)
	return c.Decode, ok
}
