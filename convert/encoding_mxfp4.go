package convert

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/moeconv/moeconv/convert/family"
	"github.com/moeconv/moeconv/convert/safetensors"
	"github.com/moeconv/moeconv/gguf"
)

// mxfp4 is OpenAI's layout: NAME_blocks of 16 bytes, whose low nibbles are the even values, and NAME_scales.
// The source is NAME_blocks, of GGUF's MXFP4; the pair is found by name, in whichever shards the two lie.
var mxfp4 = encoding{name: "mxfp4", resolve: resolveMXFP4, reads: method("mxfp4")}

const (
	mxfp4Len   = 32 // values of a block
	mxfp4Bytes = 17 // a scale and 32 nibbles
)

func resolveMXFP4(_ family.Config, ckpt *safetensors.Checkpoint) ([]source, error) {
	var out []source
	for _, t := range ckpt.Tensors() {
		if base, ok := strings.CutSuffix(t.Name, "_blocks"); ok {
			if _, ok := ckpt.Tensor(base + "_scales"); !ok {
				return nil, fmt.Errorf("tensor %q has no %s_scales", t.Name, base)
			}
			continue // becomes a source where its scales are read, as in the reference
		}
		base, ok := strings.CutSuffix(t.Name, "_scales")
		if !ok {
			out = append(out, plainSource(ckpt, t, "it is neither _blocks nor _scales"))
			continue
		}
		blocks, ok := ckpt.Tensor(base + "_blocks")
		if !ok {
			return nil, fmt.Errorf("tensor %q has no %s_blocks", t.Name, base)
		}
		v, err := newPairedMXFP4(ckpt, blocks, t)
		if err != nil {
			return nil, err
		}
		out = append(out, source{blocks.Name, []string{blocks.Name, t.Name}, v})
	}
	return out, nil
}

// pairedMXFP4 reads blocks and scales and puts them together as GGUF has them.
type pairedMXFP4 struct {
	ckpt           *safetensors.Checkpoint
	blocks, scales safetensors.Tensor
	dims           []int64
}

func newPairedMXFP4(ckpt *safetensors.Checkpoint, blocks, scales safetensors.Tensor) (view, error) {
	b, s := blocks.Shape, scales.Shape
	if blocks.DType != "U8" || scales.DType != "U8" {
		return nil, &gguf.UnsupportedError{Msg: fmt.Sprintf("convert: tensors %q and %q are %s and %s, MXFP4 is U8 and U8", blocks.Name, scales.Name, blocks.DType, scales.DType)}
	}
	if len(b) < 2 || b[len(b)-1] != 16 || !slices.Equal(b[:len(b)-1], s) || inner(s) == 0 {
		return nil, fmt.Errorf("tensor %q is %v, which does not go with %v of %q: expected the same and 16 bytes each", blocks.Name, b, s, scales.Name)
	}
	dims := slices.Clone(s)
	dims[len(dims)-1] *= mxfp4Len
	return pairedMXFP4{ckpt, blocks, scales, dims}, nil
}

func (p pairedMXFP4) shape() []int64  { return p.dims }
func (p pairedMXFP4) elem() gguf.Type { return gguf.MXFP4 }
func (p pairedMXFP4) units() int64    { return 1 }

func (p pairedMXFP4) origin(row, col int64) (string, []int64) {
	return p.blocks.Name, append(indexOf(p.scales.Shape, row, col/mxfp4Len), col%mxfp4Len/2)
}

func (p pairedMXFP4) read(ctx context.Context, w window, dst []byte) error {
	if w.wide(p) {
		return p.run(ctx, w.row*w.cols, w.n*w.cols, dst)
	}
	part := w.cols * mxfp4Bytes
	for i := range w.n {
		if err := p.run(ctx, (w.row+i)*width(p)+w.col, w.cols, dst[i*part:(i+1)*part]); err != nil {
			return err
		}
	}
	return nil
}

// run makes n blocks from block at on.
func (p pairedMXFP4) run(ctx context.Context, at, n int64, dst []byte) error {
	const most = chunkBytes / mxfp4Bytes
	b := getBytes(min(most, n) * mxfp4Bytes)
	defer putBytes(b)
	for n > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		k := min(most, n)
		blocks, scales := b.b[:16*k], b.b[16*k:17*k]
		if err := p.ckpt.ReadAt(p.blocks, blocks, 16*at); err != nil {
			return err
		}
		if err := p.ckpt.ReadAt(p.scales, scales, at); err != nil {
			return err
		}
		for i := range k {
			repackMXFP4(dst[mxfp4Bytes*i:][:mxfp4Bytes], blocks[16*i:][:16], scales[i])
		}
		at, n, dst = at+k, n-k, dst[k*mxfp4Bytes:]
	}
	return nil
}

// repackMXFP4 moves nibbles: the checkpoint pairs values 2k and 2k+1 in a byte, GGUF values k and k+16.
func repackMXFP4(dst, src []byte, scale byte) {
	const low = 0x0f0f0f0f0f0f0f0f
	a, b := binary.LittleEndian.Uint64(src), binary.LittleEndian.Uint64(src[8:])
	even, odd := a&low|b&low<<4, a>>4&low|b&^low // values 2k with 16+2k, and those behind them
	dst[0] = scale
	binary.LittleEndian.PutUint64(dst[1:], spread(even)|spread(odd)<<8)
	binary.LittleEndian.PutUint64(dst[9:], spread(even>>32)|spread(odd>>32)<<8)
}

// spread puts a zero byte behind each of the low four.
func spread(v uint64) uint64 {
	v = v&0xffff | v&0xffff0000<<16
	return v&0x000000ff000000ff | v&0x0000ff000000ff00<<8
}
