package gguf

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"path/filepath"
)

// FileOptions say how to write files.
type FileOptions struct {
	WriteOptions
	SplitMaxSize    int64      // bytes of tensor data in one shard; 0: no limit
	SplitMaxTensors int        // tensors in one shard; 0: no limit
	SplitStyle      SplitStyle // whose rules of splitting
	MetadataFirst   bool       // the first shard holds metadata only; makes a set whatever the limits
	Set             bool       // make a set even where one shard is enough
	Unpadded        bool       // a file without tensors ends with its metadata, as the reference converter's vocabularies do
	Force           bool       // replace existing files
	// Verify reads every file back before it gets its name and compares it with what was read from the source:
	// metadata, tensor infos and the SHA-256 of each tensor.
	Verify bool
}

// Written is one finished file.
type Written struct {
	Path   string
	Bytes  int64
	SHA256 string // hex
}

// WriteFile writes src as the file name (NAME.gguf), or as shards
// NAME-00001-of-0000N.gguf beside it when the options ask for them and there is
// more than one. Data go to *.part files, which get their names together after
// all of them are synced; after any error, ctx's too, none of the files is
// there, and what had their names before is untouched. Existing files are
// refused (*ExistsError) without Force, and a disk without room before a byte
// is written (*SpaceError). *LockedError: another process writes the same file.
func WriteFile(ctx context.Context, name string, src Source, opts FileOptions) ([]Written, error) {
	return writeFile(ctx, osDisk{}, name, src, opts)
}

func writeFile(ctx context.Context, d disk, name string, src Source, opts FileOptions) ([]Written, error) {
	parts, err := split(name, src, opts)
	if err != nil {
		return nil, err
	}
	j := &job{disk: d, opts: opts, parts: parts}
	for _, p := range parts {
		j.total += p.plan.Size
	}
	j.work = j.total
	if opts.Verify {
		j.work *= 2
	}
	if err := j.preflight(filepath.Dir(name)); err != nil {
		return nil, err
	}
	defer j.cleanup()
	for _, p := range parts {
		if err := j.write(ctx, p); err != nil {
			return nil, err
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := j.publish(); err != nil {
		return nil, err
	}
	var out []Written
	for _, p := range parts {
		out = append(out, Written{p.path, p.plan.Size, hex.EncodeToString(p.hash.Sum(nil))})
	}
	return out, nil
}

// part is one file to write.
type part struct {
	path string
	src  Source
	plan Plan
	sums [][]byte // SHA-256 of each tensor as it was read from src, when it is to be verified
	file partFile
	hash hash.Hash
	old  bool // a file of that name existed before
	kept bool // which is kept as backup until all parts have their names
	done bool // path holds the new file
}

// temp is the name the file has while it is written.
func (p *part) temp() string { return p.path + ".part" }

// backup is a second name of the file that p replaces.
func (p *part) backup() string { return p.path + ".replaced" }

// job writes parts and gives them their names together.
type job struct {
	disk  disk
	opts  FileOptions
	parts []*part
	total int64 // bytes of all parts
	work  int64 // bytes to write and to read back
	done  int64 // bytes of it that are done
}

// preflight refuses existing outputs and a disk without room, before anything is created.
func (j *job) preflight(dir string) error {
	for _, p := range j.parts {
		exists, err := j.disk.exists(p.path)
		if err != nil {
			return fmt.Errorf("gguf: %w", err)
		}
		if p.old = exists; exists && !j.opts.Force {
			return &ExistsError{p.path}
		}
	}
	if free, ok := j.disk.free(dir); ok && free < j.total {
		return &SpaceError{Dir: dir, Need: j.total, Free: free}
	}
	return nil
}

// write writes and syncs one part under its temporary name.
func (j *job) write(ctx context.Context, p *part) error {
	f, err := j.disk.create(p.temp())
	if err != nil {
		return fmt.Errorf("gguf: %w", err)
	}
	p.file, p.hash = f, sha256.New()
	opts := j.opts.WriteOptions
	if report := opts.Progress; report != nil {
		opts.Progress = func(done, _ int64) { report(j.done+done, j.work) }
	}
	opts.bare = j.opts.Unpadded && len(p.src.Tensors()) == 0
	if j.opts.Verify {
		opts.sum = func(_ int, sum []byte) { p.sums = append(p.sums, sum) }
	}
	if err := Write(ctx, io.MultiWriter(f, p.hash), p.src, opts); err != nil {
		return j.full(p, err)
	}
	if err := f.Sync(); err != nil {
		return j.full(p, fmt.Errorf("gguf: %w", err))
	}
	j.done += p.plan.Size
	if j.opts.Verify {
		return j.verify(ctx, p)
	}
	return nil
}

// full turns the system's "no space left" into a *SpaceError.
func (j *job) full(p *part, err error) error {
	if !isNoSpace(err) {
		return err
	}
	dir := filepath.Dir(p.path)
	free, _ := j.disk.free(dir)
	return &SpaceError{Dir: dir, Need: j.total, Free: free, Err: err}
}

// publish gives all parts their final names. The last rename decides: until
// then cleanup can bring back the files that are replaced.
func (j *job) publish() error {
	for _, p := range j.parts {
		exists, err := j.disk.exists(p.path)
		if err == nil && exists && !j.opts.Force {
			return &ExistsError{p.path} // someone else was faster
		}
		if p.old = exists; exists && len(j.parts) > 1 {
			p.kept = j.disk.link(p.path, p.backup()) == nil // where links do not exist we do without
		}
	}
	for _, p := range j.parts {
		if err := j.disk.rename(p.temp(), p.path); err != nil {
			return fmt.Errorf("gguf: %w", err)
		}
		p.done = true
	}
	err := j.disk.syncDir(filepath.Dir(j.parts[0].path))
	for _, p := range j.parts {
		err = errors.Join(err, p.file.Close())
		p.file = nil
	}
	if err != nil {
		return fmt.Errorf("gguf: %w", err)
	}
	return nil
}

// finished reports whether all parts have their names.
func (j *job) finished() bool {
	for _, p := range j.parts {
		if !p.done {
			return false
		}
	}
	return true
}

// cleanup removes backups or, after a failure, what was written.
func (j *job) cleanup() {
	finished := j.finished()
	for _, p := range j.parts {
		switch {
		case p.hash == nil: // never created, or another process's
		case !p.done:
			j.disk.remove(p.temp())
		case !finished && p.kept:
			_ = j.disk.rename(p.backup(), p.path)
			p.kept = false
		case !finished && !p.old:
			j.disk.remove(p.path)
		}
		if p.kept {
			j.disk.remove(p.backup())
		}
		if p.file != nil {
			p.file.Close() // last: closing gives up the lock on the name
		}
	}
}
