package convert

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/moeconv/moeconv/convert/safetensors"
	"github.com/moeconv/moeconv/gguf"
)

// wordBits is the size of the words that small numbers are packed into, the lowest bits first.
const wordBits = 32

// resolvePacked reads NAME.weight_packed, weight_scale, weight_shape and, of asymmetric ones, weight_zero_point.
func resolvePacked(weights settings, ckpt *safetensors.Checkpoint) ([]source, error) {
	bits, err := weights.count("num_bits")
	if err != nil {
		return nil, err
	}
	size, err := weights.count("group_size")
	if err != nil {
		return nil, err
	}
	strategy, err := weights.str("strategy")
	if err != nil {
		return nil, err
	}
	typ, err := weights.str("type")
	switch {
	case err != nil:
		return nil, err
	case strategy != "group" && strategy != "channel":
		return nil, refuseConfig(ckpt, "%s.strategy %q", weights.path, strategy)
	case (strategy == "group") != (size > 0):
		return nil, fmt.Errorf("%s: strategy %s and group_size %d do not go together", weights.path, strategy, size)
	case typ != "" && typ != "int" || bits < 2 || bits > 8:
		return nil, refuseConfig(ckpt, "%s: %d bits of type %q", weights.path, bits, typ)
	}
	c := newCollector(ckpt, "no weight_packed belongs to it")
	for _, t := range ckpt.Tensors() {
		if strings.HasSuffix(t.Name, ".weight_g_idx") {
			return nil, unsupported(t, "an order of columns (actorder) is not read in compressed-tensors checkpoints")
		}
		if endsIn(t.Name, activationScales) {
			c.drop(t.Name)
		}
		if err := c.orphan(t.Name, ".weight_packed", ".weight_scale", ".weight_shape", ".weight_zero_point"); err != nil {
			return nil, err
		}
		base, ok := strings.CutSuffix(t.Name, "_packed")
		if !ok || !strings.HasSuffix(base, ".weight") {
			continue
		}
		if err := c.addPacked(base, t, bits, size); err != nil {
			return nil, err
		}
	}
	return c.sources(), nil
}

// packed is rows of small numbers in words along the row, with a scale and perhaps a zero point for each group.
type packed struct {
	words  stored
	claim  stored // weight_shape, held against dims once rows are read
	zeros  *stored
	grid   grid
	dims   []int64
	bits   int64
	offset float32 // the number that stands for 0, where there are no zero points
}

// addPacked puts together base from its parts. Its width follows from the scales: weight_shape says it too, but in
// data, and a plan reads headers alone.
func (c *collector) addPacked(base string, w safetensors.Tensor, bits, size int64) error {
	scale, err := c.need(base, "_scale", w.Name)
	if err != nil {
		return err
	}
	shape, err := c.need(base, "_shape", w.Name)
	if err != nil {
		return err
	}
	if w.DType != "I32" {
		return unsupported(w, "pack-quantized words are I32")
	}
	if shape.DType != "I32" && shape.DType != "I64" || !slices.Equal(shape.Shape, []int64{2}) {
		return fmt.Errorf("tensor %q is %s %v, expected two numbers of I64 or I32", shape.Name, shape.DType, shape.Shape)
	}
	perWord := wordBits / bits
	if len(w.Shape) != 2 || len(scale.Shape) != 2 || w.Shape[0] == 0 || w.Shape[1] == 0 {
		return fmt.Errorf("tensors %q and %q are %v and %v, expected matrices", w.Name, scale.Name, w.Shape, scale.Shape)
	}
	cols, blocks := w.Shape[1]*perWord, []int64(nil)
	if size > 0 {
		cols, blocks = scale.Shape[1]*size, []int64{size}
	}
	if (cols+perWord-1)/perWord != w.Shape[1] {
		return fmt.Errorf("tensor %q is %v, which does not go with %v of %q in groups of %d", w.Name, w.Shape, scale.Shape, scale.Name, size)
	}
	p := packed{words: codesOf(c.ckpt, w), claim: stored{c.ckpt, shape, gguf.I32}, dims: []int64{w.Shape[0], cols}, bits: bits, offset: float32(int(1) << (bits - 1))}
	if p.grid, err = newGrid(c.ckpt, w, p.dims, scale, blocks); err != nil {
		return err
	}
	from := []string{w.Name, scale.Name, shape.Name}
	if zero, ok := c.ckpt.Tensor(base + "_zero_point"); ok {
		if want := []int64{(p.dims[0] + perWord - 1) / perWord, p.grid.cols()}; zero.DType != "I32" || !slices.Equal(zero.Shape, want) {
			return fmt.Errorf("tensor %q is %s %v, expected I32 %v", zero.Name, zero.DType, zero.Shape, want)
		}
		z := codesOf(c.ckpt, zero)
		p.zeros, from = &z, append(from, zero.Name)
	}
	return c.add(base, p, from...)
}

func (p packed) shape() []int64  { return p.dims }
func (p packed) elem() gguf.Type { return gguf.F32 }
func (p packed) units() int64    { return 1 }

func (p packed) origin(row, col int64) (string, []int64) {
	return p.words.origin(row, col/(wordBits/p.bits))
}

func (p packed) read(ctx context.Context, w window, dst []byte) error {
	return readBytes(ctx, p, w, dst)
}

func (p packed) values(ctx context.Context, w window, dst []float32) error {
	if err := p.checkClaim(); err != nil {
		return err
	}
	perWord := wordBits / p.bits
	first := w.col / perWord
	words := (w.col+w.cols-1)/perWord + 1 - first
	most := max(1, chunkBytes/(4*words))
	raw, scaleBuf, zeroBuf := getBytes(4*min(most, w.n)*words), floatPool.Get().(*floats), floatPool.Get().(*floats)
	defer putBytes(raw)
	defer floatPool.Put(scaleBuf)
	defer floatPool.Put(zeroBuf)
	zeros := zeroBuf.take(p.grid.cols())
	for i := range zeros {
		zeros[i] = p.offset
	}
	for ; w.n > 0; w.row, w.n = w.row+most, w.n-most {
		k := min(most, w.n)
		if err := p.words.read(ctx, window{w.row, k, first, words}, raw.b[:4*k*words]); err != nil {
			return err
		}
		scales, err := p.grid.load(ctx, w.row, k, scaleBuf)
		if err != nil {
			return err
		}
		for r := range k {
			if err := p.rowZeros(ctx, w.row+r, zeros); err != nil {
				return err
			}
			p.unpackRow(dst[:w.cols], raw.b[4*r*words:][:4*words], scales.of(p.grid.row(w.row+r)), zeros, w.col)
			dst = dst[w.cols:]
		}
	}
	return nil
}

// checkClaim holds weight_shape against the shape that follows from the other tensors.
func (p packed) checkClaim() error {
	var b [16]byte
	raw := b[:p.claim.t.Size]
	if err := p.claim.ckpt.ReadAt(p.claim.t, raw, 0); err != nil {
		return err
	}
	for i, want := range p.dims {
		got := int64(int32(binary.LittleEndian.Uint32(raw[len(raw)/2*i:])))
		if len(raw) == 16 {
			got = int64(binary.LittleEndian.Uint64(raw[8*i:]))
		}
		if got != want {
			return fmt.Errorf("convert: tensor %q: dimension %d is %d, but %q and %q make it %d", p.claim.t.Name, i, got, p.words.t.Name, p.grid.t.Name, want)
		}
	}
	return nil
}

// rowZeros reads the zero points of a row; those of several rows share words.
func (p packed) rowZeros(ctx context.Context, row int64, dst []float32) error {
	if p.zeros == nil {
		return nil
	}
	perWord := wordBits / p.bits
	b := getBytes(4 * int64(len(dst)))
	defer putBytes(b)
	if err := p.zeros.read(ctx, window{row / perWord, 1, 0, int64(len(dst))}, b.b); err != nil {
		return err
	}
	shift, mask := uint(row%perWord*p.bits), uint32(1)<<p.bits-1
	for i := range dst {
		dst[i] = float32(binary.LittleEndian.Uint32(b.b[4*i:]) >> shift & mask)
	}
	return nil
}

// numbers are the values of bytes: a look-up is cheaper than a conversion.
var numbers = tableOf(func(b byte) float32 { return float32(b) })

// unpackRow decodes the columns from col on; the first of the words holds it.
func (p packed) unpackRow(dst []float32, words []byte, scales, zeros []float32, col int64) {
	perWord, span := wordBits/p.bits, p.grid.span[1]
	u := unpacker{bits: uint(p.bits), mask: uint32(1)<<p.bits - 1, in: int(col % perWord), words: words}
	for len(dst) > 0 {
		n := min(span-col%span, int64(len(dst)))
		u.zero, u.scale = zeros[col/span], scales[col/span]
		u.unpack(dst[:n])
		dst, col = dst[n:], col+n
	}
}

// unpacker takes numbers out of words and makes values of them.
type unpacker struct {
	words       []byte
	bits        uint
	mask        uint32
	in          int // numbers taken out of the first word
	zero, scale float32
}

// unpack fills dst with the next values.
func (u *unpacker) unpack(dst []float32) {
	perWord, zero, scale := wordBits/int(u.bits), u.zero, u.scale
	for len(dst) > 0 {
		n := min(perWord-u.in, len(dst))
		word, part := binary.LittleEndian.Uint32(u.words)>>(uint(u.in)*u.bits), dst[:n]
		for i := range part {
			part[i] = float32((numbers[byte(word&u.mask)] - zero) * scale)
			word >>= u.bits
		}
		if u.in += n; u.in == perWord {
			u.words, u.in = u.words[4:], 0
		}
		dst = dst[n:]
	}
}
