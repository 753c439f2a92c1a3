package imatrix

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strings"

	"github.com/moeconv/moeconv/gguf"
)

const (
	sumsSuffix   = ".in_sum2" // sums of squared activations, one matrix' columns a row
	countsSuffix = ".counts"  // their number
)

// Open reads an importance matrix in llama.cpp's GGUF form or in the older .dat form.
func Open(name string) (*Matrix, error) {
	m, err := open(name, Read, readLegacy)
	if err != nil {
		return nil, err
	}
	m.name = name
	return m, nil
}

// open has a file read as what it is; errors name it.
func open[T any](name string, read func(gguf.Source) (T, error), legacy func(io.Reader, int64) (T, error)) (T, error) {
	var none T
	v, err := openAny(name, read, legacy)
	if err != nil {
		return none, fmt.Errorf("imatrix: %s: %w", name, err)
	}
	return v, nil
}

func openAny[T any](name string, read func(gguf.Source) (T, error), legacy func(io.Reader, int64) (T, error)) (none T, err error) {
	f, err := os.Open(name)
	if pe := (*os.PathError)(nil); errors.As(err, &pe) {
		return none, pe.Err // the name is in the message already
	}
	if err != nil {
		return none, err
	}
	defer f.Close()
	var magic [4]byte
	if n, _ := f.ReadAt(magic[:], 0); n < len(magic) {
		return none, fmt.Errorf("%d bytes are no importance matrix", n)
	}
	if string(magic[:]) != "GGUF" {
		info, err := f.Stat()
		if err != nil {
			return none, err
		}
		return legacy(f, info.Size())
	}
	g, err := gguf.Open(name)
	if err != nil {
		return none, err
	}
	defer g.Close()
	return read(g)
}

// Read takes an importance matrix from src: for every NAME a pair of tensors NAME.in_sum2 (F32, row length x experts)
// and NAME.counts (F32, one for each expert). It fails on an unpaired tensor, on sizes that disagree and on sums or counts
// that are not finite and at least 0.
func Read(src gguf.Source) (*Matrix, error) {
	m := &Matrix{entries: map[string]entry{}}
	if err := m.readMetadata(src.Metadata()); err != nil {
		return nil, err
	}
	if err := readEntries(src, func(name string, e *sums) { m.entries[name] = e.mean() }); err != nil {
		return nil, err
	}
	return m, nil
}

// readEntries calls f for each entry.
func readEntries(src gguf.Source, f func(name string, e *sums)) error {
	ts := src.Tensors()
	counts := map[string]int{}
	for i, t := range ts {
		if n, ok := strings.CutSuffix(t.Name, countsSuffix); ok {
			counts[n] = i
		}
	}
	found := false
	for i, t := range ts {
		name, ok := strings.CutSuffix(t.Name, sumsSuffix)
		if !ok {
			continue
		}
		c, ok := counts[name]
		if !ok {
			return fmt.Errorf("tensor %q has no counts", name)
		}
		delete(counts, name)
		e, err := readEntry(src, i, c)
		if err != nil {
			return fmt.Errorf("tensor %q: %w", name, err)
		}
		f(name, e)
		found = true
	}
	for name := range counts {
		return fmt.Errorf("tensor %q has counts but no sums", name)
	}
	if !found {
		return errors.New("no entries")
	}
	return nil
}

func (m *Matrix) readMetadata(md *gguf.Metadata) error {
	var err error
	if m.datasets, err = gguf.Value[[]string](md, "imatrix.datasets"); err != nil {
		return fmt.Errorf("no importance matrix: %w", err)
	}
	if m.chunks, err = md.Int("imatrix.chunk_count"); err != nil {
		return fmt.Errorf("no importance matrix: %w", err)
	}
	if m.chunkSize, err = md.Int("imatrix.chunk_size"); err != nil {
		return fmt.Errorf("no importance matrix: %w", err)
	}
	return nil
}

// readEntry reads and checks sums and counts.
func readEntry(src gguf.Source, sumsAt, countsAt int) (*sums, error) {
	v, err := readF32(src, sumsAt)
	if err != nil {
		return nil, err
	}
	c, err := readF32(src, countsAt)
	if err != nil {
		return nil, err
	}
	if len(c) == 0 || len(v)%len(c) != 0 {
		return nil, fmt.Errorf("%d sums do not divide into %d counts", len(v), len(c))
	}
	e := &sums{values: v, uses: make([]int64, len(c))}
	for j, f := range c {
		if !(f >= 0) || f > 1<<62 {
			return nil, fmt.Errorf("count %d is %v", j, f)
		}
		e.uses[j] = int64(math.Round(float64(f)))
	}
	columns := len(v) / len(c)
	for i, sum := range v {
		if !(sum >= 0) || sum > math.MaxFloat32 {
			return nil, fmt.Errorf("matrix %d, column %d: sum of squares is %v", i/columns, i%columns, sum)
		}
	}
	return e, nil
}

// mean divides sums by counts, in place and in float32 as the reference does.
func (e *sums) mean() entry {
	columns := len(e.values) / len(e.uses)
	for i, sum := range e.values {
		e.values[i] = 1
		if n := e.uses[i/columns]; n > 0 {
			e.values[i] = sum / float32(n)
		}
	}
	return entry{e.values, e.uses}
}

func readF32(src gguf.Source, tensor int) ([]float32, error) {
	t := src.Tensors()[tensor]
	if t.Type != gguf.F32 {
		return nil, fmt.Errorf("%q is %v, want F32", t.Name, t.Type)
	}
	raw := make([]byte, t.Bytes())
	if err := src.ReadRows(context.Background(), tensor, 0, int(t.Shape.Rows()), raw); err != nil {
		return nil, err
	}
	out := make([]float32, len(raw)/4)
	for i := range out {
		out[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
	}
	return out, nil
}
