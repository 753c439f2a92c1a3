package imatrix

import (
	"io"

	"github.com/moeconv/moeconv/gguf"
)

// OpenSums reads what an importance matrix was made of, to add to it. The older form does not have it: there the means
// are taken for chunks of chunkSize tokens, as llama-imatrix does. So is the size of chunks where a file has none.
func OpenSums(name string, chunkSize int) (*Sums, error) {
	return open(name, ReadSums, func(r io.Reader, size int64) (*Sums, error) {
		s := NewSums(chunkSize)
		var err error
		_, s.Datasets, err = legacyEntries(r, size, func(name string, values []float32, calls int32) {
			for i := range values {
				values[i] *= float32(chunkSize)
			}
			s.entries[name] = &sums{values, []int64{int64(calls) * int64(chunkSize)}}
		})
		if err != nil {
			return nil, err
		}
		return s, nil
	})
}

// ReadSums is Read for what the matrix was made of.
func ReadSums(src gguf.Source) (*Sums, error) {
	var m Matrix
	if err := m.readMetadata(src.Metadata()); err != nil {
		return nil, err
	}
	s := NewSums(int(m.chunkSize))
	s.Datasets = m.datasets
	if err := readEntries(src, func(name string, e *sums) { s.entries[name] = e }); err != nil {
		return nil, err
	}
	return s, nil
}
