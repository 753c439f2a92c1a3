package nn

import (
	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/runtime/kernel"
)

// cache is the keys and values of one block. As float32, keys lie by head and position, values by head and element,
// so that attention is two matrix products. Encoded, both lie by head and position, a row each.
type cache struct {
	kind             gguf.Type
	heads            int
	keyDim, valueDim int
	cap              int       // positions
	k                []float32 // [head][cap][keyDim]
	v                []float32 // [head][valueDim][cap]
	kEnc, vEnc       []byte    // [head][cap] rows
}

// reserve makes room for n positions, at most limit, keeping the first used.
func (c *cache) reserve(n, used, limit int) {
	if n <= c.cap {
		return
	}
	old := *c
	c.cap = min(max(n, 2*c.cap, 256), max(n, limit))
	if c.kind != gguf.F32 {
		c.kEnc = grown(old.kEnc, c.heads, old.cap, c.cap, used, c.rowBytes(c.keyDim))
		c.vEnc = grown(old.vEnc, c.heads, old.cap, c.cap, used, c.rowBytes(c.valueDim))
		return
	}
	c.k = grown(old.k, c.heads, old.cap, c.cap, used, c.keyDim)
	c.v = make([]float32, c.heads*c.cap*c.valueDim)
	for i := range c.heads * c.valueDim {
		copy(c.v[i*c.cap:], old.v[i*old.cap:][:used])
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
			if err := c.encode(enc, c.vEnc, v, h, c.valueDim, pos); err != nil {
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

// head is keys [position][keyDim] and values [valueDim][position] of a head's first n positions, decoded to buf where encoded.
func (c *cache) head(h, n int, buf *[2][]float32) (k, v kernel.Mat) {
	if c.kind == gguf.F32 {
		return kernel.Mat{Data: c.k[h*c.cap*c.keyDim:][:n*c.keyDim], Stride: c.keyDim},
			kernel.Mat{Data: c.v[h*c.valueDim*c.cap:][:c.valueDim*c.cap], Stride: c.cap}
	}
	decode, _ := kernel.DecoderOf(c.kind)
	rows := mat(&buf[0], n, c.valueDim)
	size := c.rowBytes(c.valueDim)
	decode(rows.Data, c.vEnc[h*c.cap*size:][:n*size])
	v = mat(&buf[1], c.valueDim, n)
	for i := range n {
		for e, x := range rows.Row(i, c.valueDim) {
			v.Data[e*n+i] = x
		}
	}
	k = mat(&buf[0], n, c.keyDim)
	size = c.rowBytes(c.keyDim)
	decode(k.Data, c.kEnc[h*c.cap*size:][:n*size])
	return k, v
}
