package convert

import (
	"context"
	"encoding/binary"
	"fmt"
)

func (g gptqWeight) read(ctx context.Context, w window, dst []byte) error {
	return readBytes(ctx, g, w, dst)
}

// values makes rows of the columns of words, in strips.
func (g gptqWeight) values(ctx context.Context, w window, dst []float32) error {
	group, err := g.groupsOf(ctx, w.col, w.cols)
	if err != nil {
		return err
	}
	for w.n > 0 { // as many rows at a time as bound the scales in memory
		n := min(w.n, max(1, chunkBytes/(8*g.groups)))
		t := gptqTile{gptqWeight: g, window: window{w.row, n, w.col, w.cols}, group: group}
		if err := t.read(ctx, dst[:n*w.cols]); err != nil {
			return err
		}
		dst, w.row, w.n = dst[n*w.cols:], w.row+n, w.n-n
	}
	return nil
}

// groupsOf lists the groups of the inputs from col on.
func (g gptqWeight) groupsOf(ctx context.Context, col, n int64) ([]uint32, error) {
	out := make([]uint32, n)
	if g.order == nil {
		for i := range out {
			out[i] = uint32((col + int64(i)) / g.form.group)
		}
		return out, nil
	}
	b := getBytes(4 * n)
	defer putBytes(b)
	if err := g.order.readRuns(ctx, b.b, 4*col); err != nil {
		return nil, err
	}
	for i := range out {
		if out[i] = binary.LittleEndian.Uint32(b.b[4*i:]); int64(out[i]) >= g.groups {
			return nil, fmt.Errorf("convert: tensor %q: element %d is group %d, there are %d", g.order.t.Name, col+int64(i), int32(out[i]), g.groups)
		}
	}
	return out, nil
}

// gptqTile is the reading of one window.
type gptqTile struct {
	gptqWeight
	window window
	group  []uint32    // of each column
	steps  []gptqScale // by row, then group
}

// gptqScale is what a group's numbers are made values with.
type gptqScale struct{ scale, zero float32 }

func (t *gptqTile) read(ctx context.Context, dst []float32) error {
	w := t.window
	if err := t.readSteps(ctx); err != nil {
		return err
	}
	perWord := wordBits / t.form.bits
	first, last := w.col/perWord, (w.col+w.cols-1)/perWord
	strip := min(last+1-first, max(32, chunkBytes/(4*w.n))) // of rows of words
	b, turned := getBytes(4*strip*w.n), getBytes(4*strip*w.n)
	defer putBytes(b)
	defer putBytes(turned)
	for ; first <= last; first += strip {
		k := min(strip, last+1-first)
		raw := b.b[:4*k*w.n]
		if err := t.words.read(ctx, window{first, k, w.row, w.n}, raw); err != nil {
			return err
		}
		turn(turned.b, raw, 4, k, w.n, k, 0) // the words of a row lie together now
		lo, hi := max(w.col, first*perWord), min(w.col+w.cols, (first+k)*perWord)
		for row := range w.n {
			t.unpack(dst[row*w.cols+lo-w.col:][:hi-lo], turned.b[4*k*row:], row, lo)
		}
	}
	return nil
}

// readSteps reads scales and zero points of the window's rows.
func (t *gptqTile) readSteps(ctx context.Context) error {
	w, perWord := t.window, wordBits/t.form.bits
	t.steps = make([]gptqScale, w.n*t.groups)
	first := w.row / perWord
	words := (w.row+w.n-1)/perWord + 1 - first
	size := elemBytes(t.scales)
	b := getBytes(t.groups * (w.n*size + 4*words))
	defer putBytes(b)
	scales, zeros := b.b[:t.groups*w.n*size], b.b[t.groups*w.n*size:]
	if err := t.scales.read(ctx, window{0, t.groups, w.row, w.n}, scales); err != nil {
		return err
	}
	if err := t.zeros.read(ctx, window{0, t.groups, first, words}, zeros); err != nil {
		return err
	}
	buf := floatPool.Get().(*floats)
	defer floatPool.Put(buf)
	vals := buf.take(t.groups * w.n)
	decode(t.scales.typ, vals, scales)
	mask := uint32(1)<<t.form.bits - 1
	for g := range t.groups {
		for r := range w.n {
			at := w.row + r
			z := binary.LittleEndian.Uint32(zeros[4*(g*words+at/perWord-first):]) >> (uint(at%perWord) * uint(t.form.bits)) & mask
			t.steps[r*t.groups+g] = gptqScale{vals[g*w.n+r], float32(z) + t.form.plus}
		}
	}
	return nil
}

// unpack decodes a row from column col on, which the first word holds.
func (t *gptqTile) unpack(dst []float32, words []byte, row, col int64) {
	bits := uint(t.form.bits)
	perWord, mask := wordBits/int(bits), uint32(1)<<bits-1
	steps := t.steps[row*t.groups:][:t.groups]
	group := t.group[col-t.window.col:][:len(dst)]
	for in := int(col) % perWord; len(dst) > 0; in, words = 0, words[4:] {
		n := min(perWord-in, len(dst))
		word, part, of := binary.LittleEndian.Uint32(words)>>(uint(in)*bits), dst[:n], group[:n]
		for i := range part {
			s := steps[of[i]]
			part[i] = float32(s.scale * (numbers[byte(word&mask)] - s.zero))
			word >>= bits
		}
		dst, group = dst[n:], group[n:]
	}
}
