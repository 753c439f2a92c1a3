package hub

import (
	"context"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"time"
)

// FS is a repository's files at one commit. Its files have an io.ReaderAt that fetches what is read and little more.
// It keeps small files and the heads of weight files, so that reading them again costs nothing.
type FS struct {
	ctx    context.Context
	client *Client
	repo   Repo
	commit string
	gated  bool
	secret bool
	files  map[string]*entry
	local  fs.FS // the cached snapshot; no network then

	warm sync.Once
	mu   sync.Mutex
	err  error
}

// Repo is the repository as it was asked for.
func (f *FS) Repo() Repo { return f.repo }

// Commit is the commit that is read.
func (f *FS) Commit() string { return f.commit }

// Has reports whether the repository holds a as it is here.
func (f *FS) Has(a Addition) bool {
	e, ok := f.files[a.Path]
	if !ok {
		return false
	}
	if e.sha256 != "" {
		return e.sha256 == a.SHA256
	}
	if e.size != a.Size || e.size > maxWhole {
		return false
	}
	data, err := os.ReadFile(a.File)
	return err == nil && gitBlob(data) == e.blob
}

// Gated reports whether the repository's licence had to be accepted.
func (f *FS) Gated() bool { return f.gated }

// Private reports whether only those with access see the repository.
func (f *FS) Private() bool { return f.secret }

// Size is a file's size in bytes; -1 where there is none of that name, or the Hub does not say.
func (f *FS) Size(name string) int64 {
	if e, ok := f.files[name]; ok {
		return e.size
	}
	return -1
}

// Cached reports whether the files are those of a local snapshot.
func (f *FS) Cached() bool { return f.local != nil }

// Err is the first error of the network, in full: callers of fs.FS often pass on an error's text alone.
func (f *FS) Err() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}

func (f *FS) note(err error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil {
		f.err = err
	}
	return err
}

// File is one file of a repository.
type File struct {
	Path   string
	Size   int64  // in bytes; -1 where the Hub does not say
	SHA256 string // of files in LFS
	Blob   string // git's SHA-1 of others
}

// Files lists the repository's files by name.
func (f *FS) Files() []File {
	var out []File
	for _, name := range slices.Sorted(maps.Keys(f.files)) {
		e := f.files[name]
		out = append(out, File{e.path, e.size, e.sha256, e.blob})
	}
	return out
}

// Open opens a file without a request: reading fetches.
func (f *FS) Open(name string) (fs.File, error) {
	if f.local != nil {
		return f.local.Open(name)
	}
	e, err := f.lookup("open", name)
	if err != nil {
		return nil, err
	}
	return &file{entry: e}, nil
}

func (f *FS) lookup(op, name string) (*entry, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	e, ok := f.files[name]
	if !ok {
		return nil, &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
	}
	return e, nil
}

// Stat tells a file's size from the Hub's list.
func (f *FS) Stat(name string) (fs.FileInfo, error) {
	if f.local != nil {
		return fs.Stat(f.local, name)
	}
	e, err := f.lookup("stat", name)
	if err != nil {
		return nil, err
	}
	return e.stat()
}

// ReadDir lists a directory of the repository.
func (f *FS) ReadDir(name string) ([]fs.DirEntry, error) {
	if f.local != nil {
		return fs.ReadDir(f.local, name)
	}
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: fs.ErrInvalid}
	}
	found := map[string]fs.DirEntry{}
	for p, e := range f.files {
		rest, ok := p, true
		if name != "." {
			rest, ok = strings.CutPrefix(p, name+"/")
		}
		if !ok {
			continue
		}
		if dir, _, deeper := strings.Cut(rest, "/"); deeper {
			found[dir] = fs.FileInfoToDirEntry(info{name: dir, mode: fs.ModeDir | 0o555})
			continue
		}
		found[rest] = fs.FileInfoToDirEntry(info{name: rest, size: max(0, e.size), mode: 0o444})
	}
	if len(found) == 0 && name != "." {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: fs.ErrNotExist}
	}
	var out []fs.DirEntry
	for _, n := range slices.Sorted(maps.Keys(found)) {
		out = append(out, found[n])
	}
	return out, nil
}

// info is a file as the Hub lists it.
type info struct {
	name string
	size int64
	mode fs.FileMode
}

func (i info) Name() string       { return path.Base(i.name) }
func (i info) Size() int64        { return i.size }
func (i info) Mode() fs.FileMode  { return i.mode }
func (i info) ModTime() time.Time { return time.Time{} }
func (i info) IsDir() bool        { return i.mode.IsDir() }
func (i info) Sys() any           { return nil }

// isWeights says whether a file is one of weights, which is never fetched whole.
func isWeights(name string) bool { return path.Ext(name) == ".safetensors" }

// heads fetches the headers of all weight files at once, and the small files beside them: a checkpoint has up to
// hundreds, each of which costs a redirect and an answer. It runs when the first of them is read.
func (f *FS) heads() {
	var wg sync.WaitGroup
	slots := make(chan struct{}, parallel)
	for name, e := range f.files {
		if strings.Contains(name, "/") || !isWeights(name) && !companion(name) {
			continue
		}
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			if f.ctx.Err() != nil || f.Err() != nil {
				return
			}
			// Errors are kept for the read that needs the bytes: it asks again and gets its own.
			if isWeights(name) {
				_ = e.loadHead()
			} else {
				_, _ = e.load()
			}
		})
	}
	wg.Wait()
}

// companion says whether a conversion reads that file beside weights and config.json.
func companion(name string) bool {
	switch name {
	case "tokenizer.json", "tokenizer_config.json", "tokenizer.model", "special_tokens_map.json", "added_tokens.json", "tekken.json",
		"vocab.json", "merges.txt", "generation_config.json", "chat_template.jinja", "chat_template.json", "README.md":
		return true
	}
	return false
}
