package nn

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/runtime/kernel"
)

// at is element col of a row, whatever the rows are but blocks.
func (r rows) at(row, col int) float32 {
	if r.halves.Data == nil {
		return r.floats.Data[row*r.floats.Stride+col]
	}
	var f [1]float32
	decode, _ := kernel.DecoderOf(r.halves.Type)
	decode(f[:], r.halves.From(row, col&^7).Data[2*(col%8):][:2])
	return f[0]
}

// TestCache: a cache gives back the keys and values that were put at the positions in sight, rounded to its type, while
// texts grow and are cut; values of latent attention are the beginnings of keys. It has the room that it needs and no more.
func TestCache(t *testing.T) {
	const heads, keyDim, valueDim, context, window = 2, 96, 64, 1500, 100
	for _, kind := range []gguf.Type{gguf.F32, gguf.F16, gguf.Q8_0} {
		for _, latent := range []bool{false, true} {
			for _, windowed := range []bool{false, true} {
				c := cache{kind: kind, heads: heads, keyDim: keyDim, valueDim: valueDim, latent: latent}
				name := fmt.Sprint(kind, latent, windowed)
				var r kernel.Rounder
				rng := rand.New(rand.NewPCG(1, uint64(kind)))
				keys, values := make([][]float32, context), make([][]float32, context)
				limit := context
				if windowed {
					limit = windowCells(window)
				}
				for n := 0; n < context-batchTokens; {
					add := []int{1, 7, batchTokens, 100}[rng.IntN(4)]
					keep := 0
					if windowed {
						keep = max(0, n-window+1)
					}
					c.reserve(n+add, n, keep, limit)
					for pos := n; pos < n+add; pos++ {
						keys[pos], values[pos] = random(rng, heads*keyDim), random(rng, heads*valueDim)
						if err := c.put(&r, keys[pos], values[pos], pos); err != nil {
							t.Fatal(err)
						}
					}
					if n += add; c.first > keep || c.first%8 != 0 || c.cap > limit {
						t.Fatalf("%s: room for %d from %d on, of %d", name, c.cap, c.first, limit)
					}
					checkCache(t, name, &c, keys, values, keep, n)
					if cut := max(1, n-rng.IntN(20)); max(0, cut-window) >= c.first {
						n = cut
					}
				}
			}
		}
	}
}

func random(r *rand.Rand, n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = r.Float32() - 0.5
	}
	return x
}

func checkCache(t *testing.T, name string, c *cache, keys, values [][]float32, from, to int) {
	t.Helper()
	var buf [2][]float32
	for h := range c.heads {
		k, v := c.head(h, to, false, &buf, workers{2})
		if c.blocks() {
			few, values := c.head(h, to, true, &buf, workers{2})
			if !bytes.Equal(few.blocks, k.blocks) {
				t.Fatalf("%s: keys of few tokens differ", name)
			}
			k = decoded(few, c.keyDim)
			for pos, row := 0, decoded(values, c.valueDim).floats; pos < to-c.first; pos += 7 {
				for i, want := range row.Row(pos, c.valueDim) {
					if got := v.at(i, pos); got != want {
						t.Fatalf("%s: value %d of place %d: %v, in blocks %v", name, i, pos, got, want)
					}
				}
			}
		}
		for pos := from; pos < to; pos += 1 + pos%5 {
			key := rounded(t, c.kind, keys[pos][h*c.keyDim:][:c.keyDim])
			value := key
			if !c.latent {
				value = rounded(t, c.kind, values[pos][h*c.valueDim:][:c.valueDim])
			}
			for i, want := range key {
				if got := k.at(pos-c.first, i); got != want {
					t.Fatalf("%s: key %d of %d: %v, want %v", name, i, pos, got, want)
				}
			}
			for i, want := range value[:c.valueDim] {
				if got := v.at(i, pos-c.first); got != want {
					t.Fatalf("%s: value %d of %d: %v, want %v", name, i, pos, got, want)
				}
			}
		}
	}
}

// decoded is rows of blocks as floats, [position][dim].
func decoded(r rows, dim int) rows {
	decode, _ := kernel.DecoderOf(gguf.Q8_0)
	out := make([]float32, len(r.blocks)/r.size*dim)
	decode(out, r.blocks)
	return rows{floats: kernel.Mat{Data: out, Stride: dim}}
}

// rounded is x encoded and decoded.
func rounded(t *testing.T, kind gguf.Type, x []float32) []float32 {
	t.Helper()
	if kind == gguf.F32 {
		return x
	}
	var r kernel.Rounder
	n, err := kind.RowBytes(int64(len(x)))
	if err != nil {
		t.Fatal(err)
	}
	data, out := make([]byte, n), make([]float32, len(x))
	if err := r.Encode(kind, data, x); err != nil {
		t.Fatal(err)
	}
	decode, _ := kernel.DecoderOf(kind)
	decode(out, data)
	return out
}
