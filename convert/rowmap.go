package convert

import (
	"context"

	"github.com/moeconv/moeconv/gguf"
)

// segment is a run of source rows that land in the output evenly spaced.
type segment struct {
	src    int   // index of the input
	row    int64 // first row there
	step   int64 // input rows from one to the next
	n      int64
	dst    int64 // output row of the first one
	stride int64 // output rows from one to the next
}

// rowMap is a view whose rows are rows of its inputs in another order. All inputs have rows of one width and type.
type rowMap struct {
	ins  []view
	dims []int64
	unit int64
	// segments lists what makes output rows from row on, n of them. Every output row is covered once.
	segments func(row, n int64) []segment
}

func (m rowMap) shape() []int64  { return m.dims }
func (m rowMap) elem() gguf.Type { return m.ins[0].elem() }
func (m rowMap) units() int64    { return m.unit }

// pieceRows is that of the inputs: see piece.
func (m rowMap) pieceRows() int64 { return piece(m.ins[0], width(m)) }

func (m rowMap) origin(row, col int64) (string, []int64) {
	s := m.segments(row, 1)[0]
	return m.ins[s.src].origin(s.row, col)
}

func (m rowMap) read(ctx context.Context, w window, dst []byte) error {
	b := getBytes(0)
	defer putBytes(b)
	return assemble(m, w, w.cols*elemBytes(m), dst, b.take, func(in view, w window, dst []byte) error { return in.read(ctx, w, dst) })
}

// values is what read is, for values: an input that computes its own gives them.
func (m rowMap) values(ctx context.Context, w window, dst []float32) error {
	f := floatPool.Get().(*floats)
	defer floatPool.Put(f)
	return assemble(m, w, w.cols, dst, f.take, func(in view, w window, dst []float32) error { return readValues(ctx, in, w, dst) })
}

// assemble reads the window's segments, rows of size each. take gives scratch space.
func assemble[T byte | float32](m rowMap, w window, size int64, dst []T, take func(int64) []T, read func(view, window, []T) error) error {
	for _, s := range m.segments(w.row, w.n) {
		s.dst -= w.row
		if s.step == 1 && s.stride == 1 || s.n == 1 {
			part := dst[s.dst*size : (s.dst+s.n)*size]
			if err := read(m.ins[s.src], window{s.row, s.n, w.col, w.cols}, part); err != nil {
				return err
			}
			continue
		}
		if err := scatter(m.ins[s.src], s, w, size, dst, take, read); err != nil {
			return err
		}
	}
	return nil
}

// scatter reads the input rows of a segment in chunks and copies each to its place.
func scatter[T byte | float32](in view, s segment, w window, size int64, dst []T, take func(int64) []T, read func(view, window, []T) error) error {
	most := max(1, chunkBytes/(w.cols*elemBytes(in)*s.step))
	b := take(((min(most, s.n)-1)*s.step + 1) * size)
	for i := int64(0); i < s.n; i += most {
		k := min(most, s.n-i)
		raw := b[:((k-1)*s.step+1)*size]
		if err := read(in, window{s.row + i*s.step, (k-1)*s.step + 1, w.col, w.cols}, raw); err != nil {
			return err
		}
		for j := range k {
			at := (s.dst + (i+j)*s.stride) * size
			copy(dst[at:at+size], raw[j*s.step*size:])
		}
	}
	return nil
}
