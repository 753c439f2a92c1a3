package hub

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"
)

// lanes are the requests at once: of small files, or of ranges of a large one.
const lanes = 8

// Fetch says what Download is to do.
type Fetch struct {
	Out              string                  // a directory for the files as they are named; empty: the cache
	Include, Exclude []string                // patterns; see FS.Select
	Progress         func(done, total int64) // in bytes; may be nil
}

// Fetched is a finished download.
type Fetched struct {
	Dir    string // holds the files
	Commit string
	Files  []File
	Bytes  int64 // of all files
	Sent   int64 // of them fetched by this run
}

// etagName is a hash as the cache uses it: SHA-256 of files in LFS, git's SHA-1 of others.
var etagName = regexp.MustCompile(`^[0-9a-f]{40}([0-9a-f]{24})?$`)

// storage is where files of a download lie.
type storage interface {
	// ready says whether a file is there already; if so it is made visible under its name.
	ready(e *entry) (bool, error)
	// lockName, partial and blob name the file's lock, the place where it grows and the one where it ends up.
	lockName(e *entry) string
	partial(e *entry) string
	blob(e *entry) string
	// finish makes a complete blob visible under its name.
	finish(e *entry) error
}

// Download fetches a repository's files into the cache of HuggingFace's tools, whose locks it takes, or into a directory.
// Files that are there are not fetched; an interrupted file goes on where it was. Every file is held against its hash.
// With HF_HUB_OFFLINE it is the cached snapshot, provided that it is complete.
func (c *Client) Download(ctx context.Context, repo Repo, o Fetch) (Fetched, error) {
	f, err := c.Open(ctx, repo)
	if err != nil {
		return Fetched{}, err
	}
	files, err := f.Select(o.Include, o.Exclude)
	if err != nil {
		return Fetched{}, err
	}
	root := c.repoCache(repo)
	out := Fetched{Dir: filepath.Join(root, "snapshots", f.commit), Commit: f.commit, Files: files}
	for _, file := range files {
		out.Bytes += max(0, file.Size)
	}
	if f.local != nil && o.Out != "" {
		return out, &OfflineError{Repo: repo, Cache: o.Out + " (nothing is copied; the cached one is " + out.Dir + ")"}
	}
	if f.local != nil {
		return out, f.complete(out)
	}
	if !commitName.MatchString(f.commit) {
		return out, fmt.Errorf("hub: %s: the Hub does not say which commit this is", repo)
	}
	var to storage
	if o.Out != "" {
		out.Dir = o.Out
		to, err = newFolder(o.Out, f.commit)
	} else {
		to, err = newCache(root, c.Cache, repo, f.commit)
	}
	if err != nil {
		return out, err
	}
	d := &download{ctx: ctx, c: c, to: to, total: out.Bytes, told: o.Progress}
	err = d.run(f, files)
	out.Sent = d.sent
	return out, err
}

// complete fails where a cached snapshot lacks weight files that its index names.
func (f *FS) complete(got Fetched) error {
	shards, err := f.shards()
	if err != nil {
		return nil // not a checkpoint: what is there is what was chosen
	}
	for _, name := range shards {
		if _, ok := f.files[name]; !ok {
			return &OfflineError{Repo: f.repo, Cache: got.Dir + " (" + name + " is missing)"}
		}
	}
	return nil
}

func (c *Client) repoCache(repo Repo) string {
	return filepath.Join(c.Cache, "models--"+repo.Owner+"--"+repo.Name)
}

// download is one run.
type download struct {
	ctx  context.Context
	c    *Client
	to   storage
	told func(done, total int64)

	mu                sync.Mutex
	done, sent, total int64
}

// count adds to the progress; sent are the bytes that came from the Hub.
func (d *download) count(done, sent int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.done += done
	d.sent += sent
	if d.told != nil {
		d.told(d.done, d.total)
	}
}

// run fetches small files side by side and large ones one after the other, each in ranges side by side.
func (d *download) run(f *FS, files []File) error {
	var (
		small = make(chan *entry)
		wg    sync.WaitGroup
		mu    sync.Mutex
		errs  []error
	)
	fetch := func(e *entry) {
		if err := d.file(e); err != nil {
			mu.Lock()
			errs = append(errs, err)
			mu.Unlock()
		}
	}
	for range lanes {
		wg.Go(func() {
			for e := range small {
				fetch(e)
			}
		})
	}
	var large []*entry
	for _, file := range files {
		if e := f.files[file.Path]; e.size <= d.c.partSize {
			small <- e
		} else {
			large = append(large, e)
		}
	}
	close(small)
	wg.Wait()
	for _, e := range large {
		if len(errs) > 0 || d.ctx.Err() != nil {
			break
		}
		fetch(e)
	}
	if d.ctx.Err() != nil {
		return context.Cause(d.ctx)
	}
	return errors.Join(errs...)
}

// file fetches one file unless it is there.
func (d *download) file(e *entry) error {
	if d.ctx.Err() != nil {
		return nil
	}
	if !etagName.MatchString(e.etag()) || e.size < 0 { // it becomes a file's name
		return fmt.Errorf("hub: %s: the Hub lists no hash or no size of it", at(e.target.repo, e.path))
	}
	ready, err := d.to.ready(e)
	if err == nil && !ready {
		err = d.locked(e)
	}
	if ready {
		d.count(e.size, 0)
	}
	return err
}

// locked waits for the file's lock, fetches it, and looks before whether the one who had the lock has fetched it.
func (d *download) locked(e *entry) error {
	unlock, err := d.lock(d.to.lockName(e))
	if err != nil {
		return err
	}
	defer unlock()
	ready, err := d.to.ready(e)
	if err != nil {
		return err
	}
	if ready {
		d.count(e.size, 0)
		return nil
	}
	for _, name := range []string{d.to.partial(e), d.to.blob(e)} {
		if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
			return err
		}
	}
	if err := d.grow(e, d.to.partial(e)); err != nil {
		return err
	}
	if err := os.Rename(d.to.partial(e), d.to.blob(e)); err != nil {
		return err
	}
	return d.to.finish(e)
}

// lock takes a lock file, however long that takes.
func (d *download) lock(name string) (unlock func(), err error) {
	if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
		return nil, err
	}
	for n := 0; ; n++ {
		f, held, err := tryLock(name)
		if err != nil {
			return nil, err
		}
		if !held {
			return func() { f.Close() }, nil
		}
		if n == 50 && d.c.Note != nil {
			d.c.Note("waiting for another process that downloads the same file")
		}
		select {
		case <-d.ctx.Done():
			return nil, context.Cause(d.ctx)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// etag is the Hub's name of the content, under which the cache keeps it.
func (e *entry) etag() string {
	if e.sha256 != "" {
		return strings.ToLower(e.sha256)
	}
	return e.blob
}

// writeOnce writes a small file in one step; one that has this content already is left alone.
func writeOnce(name, text string) error {
	if old, err := os.ReadFile(name); err == nil && string(old) == text {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
		return err
	}
	part, err := os.CreateTemp(filepath.Dir(name), ".new-*")
	if err != nil {
		return err
	}
	_, err = part.WriteString(text)
	err = errors.Join(err, part.Chmod(0o644), part.Close())
	if err == nil {
		err = os.Rename(part.Name(), name)
	}
	if err != nil {
		_ = os.Remove(part.Name())
	}
	return err
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return !errors.Is(err, fs.ErrNotExist)
}
