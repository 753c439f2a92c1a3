package imatrix

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"

	"github.com/moeconv/moeconv/gguf"
)

// file is Sums as llama-imatrix writes them: tensors by name, sums before counts.
type file struct {
	md      *gguf.Metadata
	tensors []gguf.TensorInfo
	values  [][]float32
}

// Source is s in llama.cpp's GGUF form. A value that is not finite is an error that names its tensor.
func (s *Sums) Source() (gguf.Source, error) {
	f := &file{md: &gguf.Metadata{}}
	f.md.Set("general.type", "imatrix")
	f.md.Set("imatrix.datasets", append([]string{}, s.Datasets...))
	f.md.Set("imatrix.chunk_count", uint32(min(s.Chunks(), math.MaxUint32)))
	f.md.Set("imatrix.chunk_size", uint32(s.ChunkSize))
	for _, name := range s.Names() {
		e := s.entries[name]
		for _, v := range e.values {
			if v-v != 0 {
				return nil, fmt.Errorf("imatrix: tensor %q: a sum of squared inputs is %v", name, v)
			}
		}
		counts := make([]float32, len(e.uses))
		for i, n := range e.uses {
			counts[i] = float32(n)
		}
		f.add(name+sumsSuffix, e.values, len(counts))
		f.add(name+countsSuffix, counts, len(counts))
	}
	return f, nil
}

func (f *file) add(name string, values []float32, rows int) {
	shape := gguf.Shape{int64(len(values) / rows)}
	if rows > 1 {
		shape = append(shape, int64(rows))
	}
	f.tensors = append(f.tensors, gguf.TensorInfo{Name: name, Type: gguf.F32, Shape: shape})
	f.values = append(f.values, values)
}

func (f *file) Metadata() *gguf.Metadata   { return f.md }
func (f *file) Tensors() []gguf.TensorInfo { return f.tensors }

func (f *file) ReadRows(_ context.Context, tensor, row, n int, dst []byte) error {
	if err := gguf.CheckRows(f.tensors, tensor, row, n, dst); err != nil {
		return err
	}
	cols := int(f.tensors[tensor].Shape.NE(0))
	for i, v := range f.values[tensor][row*cols : (row+n)*cols] {
		binary.LittleEndian.PutUint32(dst[4*i:], math.Float32bits(v))
	}
	return nil
}

// WriteFile makes name hold s, or leaves it as it was: the data are synced before they get the name. Further keys may be
// set in the file's metadata; set may be nil.
func (s *Sums) WriteFile(ctx context.Context, name string, set func(*gguf.Metadata)) error {
	src, err := s.Source()
	if err != nil {
		return err
	}
	if set != nil {
		set(src.Metadata())
	}
	return writeFile(ctx, name, src)
}

func writeFile(ctx context.Context, name string, src gguf.Source) (err error) {
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	w := bufio.NewWriterSize(f, 1<<20)
	if err := gguf.Write(ctx, w, src, gguf.WriteOptions{}); err != nil {
		return err
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if err := f.Chmod(0o644); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}
