package nn

import (
	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/runtime/kernel"
)

// cache is the keys and values of one block: of all positions, or of the newest ones in a block with a window. Keys lie by
// head and position, values by head and element, so that attention is two matrix products. In types of blocks values lie by
// head and position, too, a row each. Values of latent attention are the beginnings of the keys, and not kept.
type cache struct {
	kind             gguf.Type
	heads            int
	keyDim, valueDim int
	latent           bool
	first            int       // position of what lies first; a multiple of eight
	cap              int       // positions
	k                []float32 // [head][cap][keyDim]
	v                []float32 // [head][valueDim][cap]
	kEnc             []byte    // [head][cap] rows
	vEnc             []byte    // F16: [head][cap/8, rounded up][valueDim][8] halves, else [head][cap] rows
}

// newCache is an empty cache for layer l.
func (d *Decoder) newCache(l *layer) cache {
	return cache{kind: d.opts.KV, heads: l.kvHeads, keyDim: l.keyDim, valueDim: l.valueDim, latent: l.latent != nil}
}

// reserve makes room for positions up to end, keeping those from keep to used-1. There is room for limit positions at
// most, if that is enough.
func (c *cache) reserve(end, used, keep, limit int) {
	if used == 0 {
		c.first = 0
	}
	if end-c.first <= c.cap {
		return
	}
	old := *c
	if c.cap < limit {
		c.cap = min(max(end-c.first, 2*c.cap, 256), limit)
	}
	if end-c.first > c.cap { // some are let go of at a time, so that they need not be moved for every token
		c.first = max(c.first, min(keep, end-c.cap+keptBack)&^7)
		c.cap = max(c.cap, end-c.first)
	}
	by, n := c.first-old.first, max(0, used-c.first)
	move := func(old []byte, rows, size int) []byte { return moved(old, rows, c.cap, by, n, size) }
	switch {
	case c.kind == gguf.F32:
		c.k = moved(old.k, c.heads, c.cap, by, n, c.keyDim)
		if !c.latent {
			c.v = moved(old.v, c.heads*c.valueDim, c.cap, by, n, 1)
		}
		return
	case c.latent:
	case c.kind == gguf.F16:
		c.vEnc = moved(old.vEnc, c.heads, eights(c.cap), by/8, eights(n), 16*c.valueDim)
	default:
		c.vEnc = move(old.vEnc, c.heads, c.rowBytes(c.valueDim))
	}
	c.kEnc = move(old.kEnc, c.heads, c.rowBytes(c.keyDim))
}

// keptBack is how many positions a full cache keeps at most beyond those in sight: texts can be cut by so many.
const keptBack = 256

// windowCells is the room of a cache of a block with a window.
func windowCells(window int) int { return (window + batchTokens + 255) / 256 * 256 }

// eights is how many eights hold n positions.
func eights(n int) int { return (n + 7) / 8 }

// moved is [rows][room] elements of a size with n of each row of old from number by on; in place where it can be.
func moved[T any](old []T, rows, room, by, n, size int) []T {
	out, from := old, len(old)/rows/size
	if from != room {
		out = make([]T, rows*room*size)
	}
	for r := range rows {
		copy(out[r*room*size:][:n*size], old[(r*from+by)*size:])
	}
	return out
}

// copyFrom makes the cache hold what another of the same kind does.
func (c *cache) copyFrom(o *cache) {
	c.first, c.cap = o.first, o.cap
	c.k, c.v = append(c.k[:0], o.k...), append(c.v[:0], o.v...)
	c.kEnc, c.vEnc = append(c.kEnc[:0], o.kEnc...), append(c.vEnc[:0], o.vEnc...)
}

func (c *cache) rowBytes(dim int) int {
	n, _ := c.kind.RowBytes(int64(dim)) // Load has checked that rows are whole blocks
	return int(n)
}

// put stores row r of k, [head][keyDim], and v, [head][valueDim], at position pos.
func (c *cache) put(enc *kernel.Rounder, k, v []float32, pos int) error {
	at := pos - c.first
	if c.kind != gguf.F32 {
		for h := range c.heads {
			if err := c.encode(enc, c.kEnc, k, h, c.keyDim, at); err != nil {
				return err
			}
			if err := c.putValue(enc, v, h, at); err != nil {
				return err
			}
		}
		return nil
	}
	for h := range c.heads {
		copy(c.k[(h*c.cap+at)*c.keyDim:], k[h*c.keyDim:][:c.keyDim])
		if c.latent {
			continue
		}
		for e, x := range v[h*c.valueDim:][:c.valueDim] {
			c.v[(h*c.valueDim+e)*c.cap+at] = x
		}
	}
	return nil
}

func (c *cache) encode(enc *kernel.Rounder, dst []byte, src []float32, h, dim, at int) error {
	size := c.rowBytes(dim)
	return enc.Encode(c.kind, dst[(h*c.cap+at)*size:][:size], src[h*dim:][:dim])
}

func (c *cache) putValue(enc *kernel.Rounder, v []float32, h, at int) error {
	switch {
	case c.latent:
		return nil
	case c.kind != gguf.F16:
		return c.encode(enc, c.vEnc, v, h, c.valueDim, at)
	}
	halves, err := enc.Encoded(gguf.F16, v[h*c.valueDim:][:c.valueDim])
	if err != nil {
		return err // what is not finite must not lie behind a text's end
	}
	to := c.vEnc[16*(h*eights(c.cap)+at/8)*c.valueDim+2*(at%8):]
	for i := 0; i+1 < len(halves); i += 2 {
		to[8*i], to[8*i+1] = halves[i], halves[i+1]
	}
	return nil
}

// rows is a matrix as the cache has it: of halves or of blocks if there are some.
type rows struct {
	floats kernel.Mat
	halves kernel.Halves
	blocks []byte // a row a position, even of values
	size   int    // of a row of blocks
}

// from is r from its row and column on, the latter a multiple of eight. Rows of blocks are whole.
func (r rows) from(row, col int) rows {
	switch {
	case r.blocks != nil:
		r.blocks = r.blocks[(row+col)*r.size:]
	case r.halves.Data != nil:
		r.halves = r.halves.From(row, col)
	default:
		r.floats.Data = r.floats.Data[row*r.floats.Stride+col:]
	}
	return r
}

// columns is n, with those behind it whose eights are whole in halves.
func (r rows) columns(n int) int {
	if r.halves.Data != nil {
		return (n + 7) &^ 7
	}
	return n
}

// multiply is kernel.MatMul.
func (r rows) multiply(dst, x kernel.Mat, n, tokens, k int) {
	if r.halves.Data != nil {
		kernel.MatMulHalves(dst, r.halves, x, n, tokens, k)
		return
	}
	kernel.MatMul(dst, r.floats, x, n, tokens, k)
}

// stored reports whether keys and values lie in the cache as they are multiplied.
func (c *cache) stored() bool { return c.kind.BlockLen() == 1 && !c.latent }

// head is keys [position][keyDim] and values [valueDim][position] of a head's positions from c.first to end-1. What the cache
// does not have like this is made in buf, by workers; few multiplications are made with blocks as they lie there.
func (c *cache) head(h, end int, few bool, buf *[2][]float32, by workers) (k, v rows) {
	n := end - c.first
	switch {
	case c.blocks():
		k = c.blockRows(c.kEnc, h, n, c.keyDim)
		if few {
			return k, c.blockRows(c.vEnc, h, n, c.valueDim)
		}
	case c.kind == gguf.F32:
		k.floats = kernel.Mat{Data: c.k[h*c.cap*c.keyDim:][:n*c.keyDim], Stride: c.keyDim}
		if !c.latent {
			v.floats = kernel.Mat{Data: c.v[h*c.valueDim*c.cap:][:c.valueDim*c.cap], Stride: c.cap}
		}
	case c.kind == gguf.F16:
		k.halves = kernel.Halves{Data: c.kEnc[2*h*c.cap*c.keyDim:][:2*n*c.keyDim], Stride: c.keyDim, Type: c.kind}
		if !c.latent {
			size := 16 * eights(c.cap) * c.valueDim
			v.halves = kernel.Halves{Data: c.vEnc[h*size:][:size], Stride: 8, Type: c.kind, Step: 8 * c.valueDim}
		}
	}
	if c.stored() {
		return k, v
	}
	v.floats = mat(&buf[1], c.valueDim, n)
	dim, enc, made := c.keyDim, c.kEnc, k.floats // values are in keys
	if !c.latent {
		dim, enc = c.valueDim, c.vEnc
	}
	if c.kind.BlockLen() > 1 {
		made = mat(&buf[0], n, dim)
	}
	by.rows(n, dim+c.valueDim, func(_, lo, hi int) {
		to := kernel.Mat{Data: v.floats.Data[lo:], Stride: n}
		if c.kind == gguf.F16 {
			kernel.TurnF16(to, k.halves.From(lo, 0).Data, 2*dim, hi-lo, c.valueDim)
			return
		}
		part := made.From(lo)
		if c.kind != gguf.F32 {
			c.decode(part.Data, enc, h, lo, hi, dim)
		}
		kernel.Turn(to, part, hi-lo, c.valueDim)
	})
	if c.latent && c.kind.BlockLen() > 1 {
		k.floats = made
	}
	return k, v
}

// blocks reports whether keys and values lie in the cache as rows of blocks that are multiplied.
func (c *cache) blocks() bool { return c.kind == gguf.Q8_0 && !c.latent }

func (c *cache) blockRows(enc []byte, h, n, dim int) rows {
	size := c.rowBytes(dim)
	return rows{blocks: enc[h*c.cap*size:][:n*size], size: size}
}

// decode decodes a head's rows lo to hi.
func (c *cache) decode(dst []float32, enc []byte, h, lo, hi, dim int) {
	decode, _ := kernel.DecoderOf(c.kind)
	size := c.rowBytes(dim)
	decode(dst[:(hi-lo)*dim], enc[(h*c.cap+lo)*size:][:(hi-lo)*size])
}
