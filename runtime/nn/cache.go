package nn

import (
	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/runtime/kernel"
)

// cache is the keys and values of one block. As float32, keys lie by head and position, values by head and element,
// so that attention is two matrix products. Encoded, both lie by head and position, a row of dim elements each.
type cache struct {
	kind       gguf.Type
	heads, dim int
	cap        int       // positions
	k          []float32 // [head][cap][dim]
	v          []float32 // [head][dim][cap]
	kEnc, vEnc []byte    // [head][cap] rows
}

// reserve makes room for n positions, at most limit, keeping the first used.
func (c *cache) reserve(n, used, limit int) {
	if n <= c.cap {
		return
	}
	old := *c
	c.cap = min(max(n, 2*c.cap, 256), max(n, limit))
	if c.kind != gguf.F32 {
		size := c.rowBytes()
		c.kEnc, c.vEnc = make([]byte, c.heads*c.cap*size), make([]byte, c.heads*c.cap*size)
		for h := range c.heads {
			copy(c.kEnc[h*c.cap*size:], old.kEnc[h*old.cap*size:][:used*size])
			copy(c.vEnc[h*c.cap*size:], old.vEnc[h*old.cap*size:][:used*size])
		}
		return
	}
	c.k, c.v = make([]float32, c.heads*c.cap*c.dim), make([]float32, c.heads*c.cap*c.dim)
	for h := range c.heads {
		copy(c.k[h*c.cap*c.dim:], old.k[h*old.cap*c.dim:][:used*c.dim])
		for e := range c.dim {
			copy(c.v[(h*c.dim+e)*c.cap:], old.v[(h*c.dim+e)*old.cap:][:used])
		}
	}
}

func (c *cache) rowBytes() int {
	n, _ := c.kind.RowBytes(int64(c.dim)) // Load has checked that rows are whole blocks
	return int(n)
}

// put stores row r of k and v, [head][dim] each, at position pos.
func (c *cache) put(enc *kernel.Rounder, k, v []float32, pos int) error {
	if c.kind != gguf.F32 {
		size := c.rowBytes()
		for h := range c.heads {
			at := (h*c.cap + pos) * size
			if err := enc.Encode(c.kind, c.kEnc[at:][:size], k[h*c.dim:][:c.dim]); err != nil {
				return err
			}
			if err := enc.Encode(c.kind, c.vEnc[at:][:size], v[h*c.dim:][:c.dim]); err != nil {
				return err
			}
		}
		return nil
	}
	for h := range c.heads {
		copy(c.k[(h*c.cap+pos)*c.dim:], k[h*c.dim:][:c.dim])
		for e, x := range v[h*c.dim:][:c.dim] {
			c.v[(h*c.dim+e)*c.cap+pos] = x
		}
	}
	return nil
}

// head is keys [position][dim] and values [dim][position] of a head's first n positions, decoded to buf where encoded.
func (c *cache) head(h, n int, buf *[2][]float32) (k, v kernel.Mat) {
	if c.kind == gguf.F32 {
		return kernel.Mat{Data: c.k[h*c.cap*c.dim:][:n*c.dim], Stride: c.dim},
			kernel.Mat{Data: c.v[h*c.dim*c.cap:][:c.dim*c.cap], Stride: c.cap}
	}
	size := c.rowBytes()
	decode, _ := kernel.DecoderOf(c.kind)
	k, v = mat(&buf[0], n, c.dim), mat(&buf[1], c.dim, n)
	decode(k.Data, c.vEnc[h*c.cap*size:][:n*size])
	for i := range n {
		for e, x := range k.Row(i, c.dim) {
			v.Data[e*n+i] = x
		}
	}
	decode(k.Data, c.kEnc[h*c.cap*size:][:n*size])
	return k, v
}
