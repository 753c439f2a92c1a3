package imatrix

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
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
	m, err := open(name)
	if err != nil {
		return nil, fmt.Errorf("imatrix: %s: %w", name, err)
	}
	m.name = name
	return m, nil
}

func open(name string) (*Matrix, error) {
	f, err := os.Open(name)
	if pe := (*os.PathError)(nil); errors.As(err, &pe) {
		return nil, pe.Err // the name is in the message already
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var magic [4]byte
	if n, _ := f.ReadAt(magic[:], 0); n < len(magic) {
		return nil, fmt.Errorf("%d bytes are no importance matrix", n)
	}
	if string(magic[:]) != "GGUF" {
		info, err := f.Stat()
		if err != nil {
			return nil, err
		}
		return readLegacy(f, info.Size())
	}
	g, err := gguf.Open(name)
	if err != nil {
		return nil, err
	}
	defer g.Close()
	return Read(g)
}

// Read takes an importance matrix from src: for every NAME a pair of tensors NAME.in_sum2 (F32, row length x experts)
// and NAME.counts (F32, one for each expert). It fails on an unpaired tensor, on sizes that disagree and on sums or counts
// that are not finite and at least 0.
func Read(src gguf.Source) (*Matrix, error) {
	m := &Matrix{entries: map[string]entry{}}
	if err := m.readMetadata(src.Metadata()); err != nil {
		return nil, err
	}
	ts := src.Tensors()
	counts := map[string]int{}
	for i, t := range ts {
		if n, ok := strings.CutSuffix(t.Name, countsSuffix); ok {
			counts[n] = i
		}
	}
	for i, t := range ts {
		name, ok := strings.CutSuffix(t.Name, sumsSuffix)
		if !ok {
			continue
		}
		c, ok := counts[name]
		if !ok {
			return nil, fmt.Errorf("tensor %q has no counts", name)
		}
		delete(counts, name)
		e, err := readEntry(src, i, c)
		if err != nil {
			return nil, fmt.Errorf("tensor %q: %w", name, err)
		}
		m.entries[name] = e
	}
	for name := range counts {
		return nil, fmt.Errorf("tensor %q has counts but no sums", name)
	}
	if len(m.entries) == 0 {
		return nil, errors.New("no entries")
	}
	return m, nil
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

// readEntry divides sums by counts, in float32 as the reference does.
func readEntry(src gguf.Source, sums, counts int) (entry, error) {
	v, err := readF32(src, sums)
	if err != nil {
		return entry{}, err
	}
	c, err := readF32(src, counts)
	if err != nil {
		return entry{}, err
	}
	if len(c) == 0 || len(v)%len(c) != 0 {
		return entry{}, fmt.Errorf("%d sums do not divide into %d counts", len(v), len(c))
	}
	e := entry{values: v, counts: make([]int64, len(c))}
	columns := len(v) / len(c)
	for j, f := range c {
		if !(f >= 0) || f > 1<<62 {
			return entry{}, fmt.Errorf("count %d is %v", j, f)
		}
		e.counts[j] = int64(math.Round(float64(f)))
		row := v[j*columns : (j+1)*columns]
		n := float32(e.counts[j])
		for i, sum := range row {
			if !(sum >= 0) || sum > math.MaxFloat32 {
				return entry{}, fmt.Errorf("matrix %d, column %d: sum of squares is %v", j, i, sum)
			}
			row[i] = 1
			if n > 0 {
				row[i] = sum / n
			}
		}
	}
	return e, nil
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
