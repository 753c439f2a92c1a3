package convert

import (
	"context"

	"github.com/moeconv/moeconv/gguf"
)

// scaled is a tensor of codes of one byte, each with a value, that scales multiply in F32.
type scaled struct {
	codes  stored
	decode codeDecoder
	grid   grid
}

func (s scaled) shape() []int64                          { return s.codes.t.Shape }
func (s scaled) elem() gguf.Type                         { return gguf.F32 }
func (s scaled) units() int64                            { return 1 }
func (s scaled) origin(row, col int64) (string, []int64) { return s.codes.origin(row, col) }

func (s scaled) read(ctx context.Context, w window, dst []byte) error {
	return readBytes(ctx, s, w, dst)
}

func (s scaled) values(ctx context.Context, w window, dst []float32) error {
	most := max(1, chunkBytes/max(1, w.cols))
	raw, buf := getBytes(min(most, w.n)*w.cols), floatPool.Get().(*floats)
	defer putBytes(raw)
	defer floatPool.Put(buf)
	span := s.grid.span[len(s.grid.span)-1]
	for ; w.n > 0; w.row, w.n = w.row+most, w.n-most {
		k := min(most, w.n)
		codes := raw.b[:k*w.cols]
		if err := s.codes.read(ctx, window{w.row, k, w.col, w.cols}, codes); err != nil {
			return err
		}
		scales, err := s.grid.load(ctx, w.row, k, buf)
		if err != nil {
			return err
		}
		for r := range k {
			s.row(dst[:w.cols], codes[r*w.cols:][:w.cols], scales.of(s.grid.row(w.row+r)), w.col, span)
			dst = dst[w.cols:]
		}
	}
	return nil
}

// row decodes the columns from col on of a row that has a scale for every span of them.
func (s scaled) row(dst []float32, codes []byte, scales []float32, col, span int64) {
	for len(codes) > 0 {
		n := min(span-col%span, int64(len(codes)))
		s.decode(dst[:n], codes[:n], scales[col/span])
		dst, codes, col = dst[n:], codes[n:], col+n
	}
}
