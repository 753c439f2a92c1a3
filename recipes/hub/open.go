package hub

import (
	"errors"
	"io"
	"io/fs"
)

// file is an open file.
type file struct {
	*entry
	pos int64
}

func (f *file) Stat() (fs.FileInfo, error) { return f.stat() }
func (f *file) Close() error               { return nil }

// ReadAt fetches what is not there yet. The first read of a weight file fetches the headers of all.
func (f *file) ReadAt(p []byte, off int64) (int, error) {
	if isWeights(f.path) {
		f.fs.warm.Do(f.fs.heads)
	}
	return f.readAt(p, off)
}

// Read reads on. The first read of a small file fetches it whole and checks its hash.
func (f *file) Read(p []byte) (int, error) {
	if f.pos == 0 && !isWeights(f.path) {
		st, err := f.stat()
		if err != nil {
			return 0, err
		}
		if st.Size() <= maxWhole {
			if _, err := f.load(); err != nil {
				return 0, err
			}
		}
	}
	n, err := f.ReadAt(p, f.pos)
	f.pos += int64(n)
	if n > 0 && errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}
