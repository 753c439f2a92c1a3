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
	if t == gguf.F32 {
		copy(dst, src)
		return nil
	}
	c, ok := block.For(t)
	if !ok {
		return fmt.Errorf("kernel: activations of type %v: no codec", t)
	}
	n, err := t.RowBytes(int64(len(src)))
	if err != nil {
		return err
	}
	if int64(cap(r.buf)) < n {
		r.buf = make([]byte, n)
	}
	if err := c.Encode(r.buf[:n], src, nil); err != nil {
		return fmt.Errorf("kernel: activations: %w", err)
	}
	c.Decode(dst[:len(src)], r.buf[:n])
	return nil
}
