package convert

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/moeconv/moeconv/convert/safetensors"
	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/quantize/block"
)

// chunkBytes is how much of a source tensor is read at once.
const chunkBytes = 1 << 20

// buffers are a reader's scratch space.
type buffers struct {
	raw []byte
	f32 []float32
}

var pool = sync.Pool{New: func() any { return new(buffers) }}

func (b *buffers) bytes(n int64) []byte {
	if int64(cap(b.raw)) < n {
		b.raw = make([]byte, n)
	}
	return b.raw[:n]
}

func (b *buffers) floats(n int64) []float32 {
	if int64(cap(b.f32)) < n {
		b.f32 = make([]float32, n)
	}
	return b.f32[:n]
}

// ReadRows reads, decodes, transforms and encodes rows: see gguf.Source. A value that is not finite
// or does not fit the type is a *WeightError.
func (p *Plan) ReadRows(ctx context.Context, tensor, row, n int, dst []byte) error {
	if err := gguf.CheckRows(p.infos, tensor, row, n, dst); err != nil {
		return err
	}
	b := pool.Get().(*buffers)
	defer pool.Put(b)
	out := &p.outs[tensor]
	r := rowReader{ckpt: p.ckpt, info: p.infos[tensor], out: out, rowBytes: p.infos[tensor].RowBytes(), buf: b}
	for _, s := range out.op.segments(int64(row), int64(n)) {
		s.dst -= int64(row)
		if err := r.read(ctx, s, dst); err != nil {
			return err
		}
	}
	return nil
}

// rowReader serves one call of ReadRows.
type rowReader struct {
	ckpt     *safetensors.Checkpoint
	info     gguf.TensorInfo
	out      *output
	rowBytes int64 // of the output
	buf      *buffers
}

// read fills the output rows of one segment, chunk by chunk.
func (r *rowReader) read(ctx context.Context, s segment, dst []byte) error {
	src := r.out.srcs[s.src]
	srcBytes := src.Size / max(1, rowsOf(src)) // bytes of a source row
	step := max(1, chunkBytes/srcBytes)
	for s.n > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		part := s
		part.n = min(s.n, step)
		if err := r.chunk(src, srcBytes, part, dst); err != nil {
			return err
		}
		s.row, s.n, s.dst = s.row+part.n, s.n-part.n, s.dst+part.n*s.stride
	}
	return nil
}

func (r *rowReader) chunk(src safetensors.Tensor, srcBytes int64, s segment, dst []byte) error {
	dec := decoders[src.DType]
	if dec.same == r.info.Type && s.stride == 1 { // the bytes are the same: no copy in between
		part := dst[s.dst*r.rowBytes : (s.dst+s.n)*r.rowBytes]
		if err := r.ckpt.ReadAt(src, part, s.row*srcBytes); err != nil {
			return err
		}
		return r.validate(src, s.row, part)
	}
	raw := r.buf.bytes(s.n * srcBytes)
	if err := r.ckpt.ReadAt(src, raw, s.row*srcBytes); err != nil {
		return err
	}
	for i := range s.n {
		at := (s.dst + i*s.stride) * r.rowBytes
		row, part := raw[i*srcBytes:(i+1)*srcBytes], dst[at:at+r.rowBytes]
		if dec.same == r.info.Type {
			copy(part, row)
			if err := r.validate(src, s.row+i, part); err != nil {
				return err
			}
			continue
		}
		if err := r.encode(dec, src, s.row+i, row, part); err != nil {
			return err
		}
	}
	return nil
}

// encode turns one source row into one output row.
func (r *rowReader) encode(dec decoder, src safetensors.Tensor, row int64, raw, dst []byte) error {
	vals := r.buf.floats(r.info.Shape.NE(0))
	dec.decode(vals, raw)
	codec, ok := block.For(r.info.Type)
	if !ok {
		return &gguf.UnsupportedError{Msg: fmt.Sprintf("convert: tensor %s: type %v cannot be encoded", r.info.Name, r.info.Type)}
	}
	for i, v := range vals {
		if v-v != 0 { // NaN or an infinity
			return r.weightError(src, row, int64(i), v)
		}
	}
	err := codec.Encode(dst, vals, nil)
	if ve := (*block.ValueError)(nil); errors.As(err, &ve) {
		return r.weightError(src, row, int64(ve.Column), ve.Value)
	}
	if err != nil {
		return fmt.Errorf("convert: tensor %q: %w", src.Name, err)
	}
	return nil
}

// validate looks for values that are not finite in rows taken over unchanged.
func (r *rowReader) validate(src safetensors.Tensor, row int64, data []byte) error {
	err := block.Validate(r.info.Type, data)
	if se := (*block.ScaleError)(nil); errors.As(err, &se) {
		ne0 := r.info.Shape.NE(0)
		return r.weightError(src, row+int64(se.Block)/ne0, int64(se.Block)%ne0, se.Value)
	}
	if err != nil {
		return fmt.Errorf("convert: tensor %q: %w", src.Name, err)
	}
	return nil
}

func (r *rowReader) weightError(src safetensors.Tensor, row, column int64, v float32) error {
	return &WeightError{Tensor: r.info.Name, Source: src.Name, Index: sourceIndex(src.Shape, row, column), Value: v, Type: r.info.Type}
}
