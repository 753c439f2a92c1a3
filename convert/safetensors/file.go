package safetensors

import (
	"errors"
	"io"
	"io/fs"
	"strings"
	"sync"
)

// shard is an open weight file. ReadAt may be called from many goroutines.
type shard struct {
	io.ReaderAt
	io.Closer
	name string
	size int64
}

func openShard(fsys fs.FS, name string) (*shard, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, fileErrorf(name, "%s", cause(err))
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("not a regular file")
	}
	if err != nil {
		f.Close()
		return nil, fileErrorf(name, "%s", cause(err))
	}
	s := &shard{Closer: f, name: name, size: info.Size()}
	switch r := f.(type) {
	case io.ReaderAt:
		s.ReaderAt = r
	case io.ReadSeeker:
		s.ReaderAt = &seekReaderAt{r: r}
	default:
		f.Close()
		return nil, fileErrorf(name, "%T cannot be read at an offset", f)
	}
	return s, nil
}

// cause is an error's message without the path, which the caller names.
func cause(err error) string {
	var p *fs.PathError
	if errors.As(err, &p) {
		err = p.Err
	}
	return err.Error()
}

// seekReaderAt reads at an offset where a file system's files only know how to seek.
type seekReaderAt struct {
	mu sync.Mutex
	r  io.ReadSeeker
}

func (s *seekReaderAt) ReadAt(p []byte, off int64) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := s.r.Seek(off, io.SeekStart); err != nil {
		return 0, err
	}
	n, err := io.ReadFull(s.r, p)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = io.EOF
	}
	return n, err
}

// checkPointer recognises the text that git leaves in place of a file kept in LFS.
func checkPointer(file string, head []byte) error {
	const magic = "version https://git-lfs.github.com/spec/"
	if !strings.HasPrefix(string(head), magic) {
		return nil
	}
	want := ""
	for line := range strings.Lines(string(head)) {
		if n, ok := strings.CutPrefix(strings.TrimSpace(line), "size "); ok {
			want = " of " + n + " bytes"
		}
	}
	return fileErrorf(file, "is a git-lfs pointer, not the file%s (run: git lfs pull)", want)
}
