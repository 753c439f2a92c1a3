package nn

import (
	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/runtime/kernel"
)

// cache is the keys and values of one block. Keys lie by head and position, values by head and element, so that
// attention is two matrix products. In types of blocks values lie by head and position, too, a row each.
type cache struct {
	kind             gguf.Type
	heads            int
	keyDim, valueDim int
	cap              int       // positions
	k                []float32 // [head][cap][keyDim]
	v                []float32 // [head][valueDim][cap]
	kEnc             []byte    // [head][cap] rows
	vEnc             []byte    // F16: [head][valueDim][cap] halves, else [head][cap] rows
}

// reserve makes room for n positions, at most limit, keeping the first used.
func (c *cache) reserve(n, used, limit int) {
	if n <= c.cap {
		return
	}
	old := *c
	c.cap = min(max(n, 2*c.cap, 256), max(n, limit))
	if c.kind == gguf.F32 {
		c.k = grown(old.k, c.heads, old.cap, c.cap, used, c.keyDim)
		c.v = grown(old.v, c.heads*c.valueDim, old.cap, c.cap, used, 1)
		return
	}
	c.kEnc = grown(old.kEnc, c.heads, old.cap, c.cap, used, c.rowBytes(c.keyDim))
	if c.kind == gguf.F16 {
		c.vEnc = grown(old.vEnc, c.heads*c.valueDim, old.cap, c.cap, used, 2)
	} else {
		c.vEnc = grown(old.vEnc, c.heads, old.cap, c.cap, used, c.rowBytes(c.valueDim))
	}
}

// grown is [heads][to] rows of size elements with the first used of [heads][from].
func grown[T any](old []T, heads, from, to, used, size int) []T {
	out := make([]T, heads*to*size)
	for h := range heads {
		copy(out[h*to*size:], old[h*from*size:][:used*size])
	}
	return out
}

// copyFrom makes the cache hold what another of the same kind does.
func (c *cache) copyFrom(o *cache) {
	c.cap = o.cap
	c.k, c.v = append(c.k[:0], o.k...), append(c.v[:0], o.v...)
	c.kEnc, c.vEnc = append(c.kEnc[:0], o.kEnc...), append(c.vEnc[:0], o.vEnc...)
}

func (c *cache) rowBytes(dim int) int {
	n, _ := c.kind.RowBytes(int64(dim)) // Load has checked that rows are whole blocks
	return int(n)
}

// put stores row r of k, [head][keyDim], and v, [head][valueDim], at position pos.
func (c *cache) put(enc *kernel.Rounder, k, v []float32, pos int) error {
	if c.kind != gguf.F32 {
		for h := range c.heads {
			if err := c.encode(enc, c.kEnc, k, h, c.keyDim, pos); err != nil {
				return err
			}
			if err := c.putValue(enc, v, h, pos); err != nil {
				return err
			}
		}
		return nil
	}
	for h := range c.heads {
		copy(c.k[(h*c.cap+pos)*c.keyDim:], k[h*c.keyDim:][:c.keyDim])
		for e, x := range v[h*c.valueDim:][:c.valueDim] {
			c.v[(h*c.valueDim+e)*c.cap+pos] = x
		}
	}
	return nil
}

func (c *cache) encode(enc *kernel.Rounder, dst []byte, src []float32, h, dim, pos int) error {
	size := c.rowBytes(dim)
	return enc.Encode(c.kind, dst[(h*c.cap+pos)*size:][:size], src[h*dim:][:dim])
}

func (c *cache) putValue(enc *kernel.Rounder, v []float32, h, pos int) error {
	if c.kind != gguf.F16 {
		return c.encode(enc, c.vEnc, v, h, c.valueDim, pos)
	}
	halves, err := enc.Encoded(gguf.F16, v[h*c.valueDim:][:c.valueDim])
	for at := 2 * (h*c.valueDim*c.cap + pos); len(halves) > 0; halves, at = halves[2:], at+2*c.cap {
		copy(c.vEnc[at:at+2], halves)
	}
	return err
}

// rows is a matrix as the cache has it: of halves if there are some.
type rows struct {
	floats kernel.Mat
	halves kernel.Halves
}

// from is r from its row and column on.
func (r rows) from(row, col int) rows {
	r.floats.Data = r.floats.Data[min(len(r.floats.Data), row*r.floats.Stride+col):]
	r.halves.Data = r.halves.Data[min(len(r.halves.Data), 2*(row*r.halves.Stride+col)):]
	return r
}

// multiply is kernel.MatMul.
func (r rows) multiply(dst, x kernel.Mat, n, tokens, k int) {
	if r.halves.Data != nil {
		kernel.MatMulHalves(dst, r.halves, x, n, tokens, k)
		return
	}
	kernel.MatMul(dst, r.floats, x, n, tokens, k)
}

// head is keys [position][keyDim] and values [valueDim][position] of a head's first n positions, decoded to buf where
// they lie in blocks.
func (c *cache) head(h, n int, buf *[2][]float32) (k, v rows) {
	switch c.kind {
	case gguf.F32:
		k.floats = kernel.Mat{Data: c.k[h*c.cap*c.keyDim:][:n*c.keyDim], Stride: c.keyDim}
		v.floats = kernel.Mat{Data: c.v[h*c.valueDim*c.cap:][:c.valueDim*c.cap], Stride: c.cap}
		return k, v
	case gguf.F16:
		k.halves = kernel.Halves{Data: c.kEnc[2*h*c.cap*c.keyDim:][:2*n*c.keyDim], Stride: c.keyDim, Type: c.kind}
		v.halves = kernel.Halves{Data: c.vEnc[2*h*c.valueDim*c.cap:][:2*c.valueDim*c.cap], Stride: c.cap, Type: c.kind}
		return k, v
	}
	decode, _ := kernel.DecoderOf(c.kind)
	values := mat(&buf[0], n, c.valueDim)
	size := c.rowBytes(c.valueDim)
	decode(values.Data, c.vEnc[h*c.cap*size:][:n*size])
	v.floats = mat(&buf[1], c.valueDim, n)
	for i := range n {
		for e, x := range values.Row(i, c.valueDim) {
			v.floats.Data[e*n+i] = x
		}
	}
	k.floats = mat(&buf[0], n, c.keyDim)
	size = c.rowBytes(c.keyDim)
	decode(k.floats.Data, c.kEnc[h*c.cap*size:][:n*size])
	return k, v
}
