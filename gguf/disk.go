package gguf

import (
	"errors"
	"io"
	"os"
)

// disk is what WriteFile needs of the file system; tests put a failing one in its place.
type disk interface {
	free(dir string) (bytes int64, ok bool) // ok is false where the system does not tell
	exists(name string) (bool, error)
	create(name string) (partFile, error)
	rename(from, to string) error
	link(name, second string) error // replaces second
	remove(name string)
	syncDir(dir string) error
}

// partFile is a file being written.
type partFile interface {
	io.WriteCloser
	Sync() error
}

// osDisk is the real file system.
type osDisk struct{}

func (osDisk) free(dir string) (int64, bool) { return freeSpace(dir) }

func (osDisk) exists(name string) (bool, error) {
	_, err := os.Lstat(name)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// create opens name for this process alone and empties it: a part left by a
// process that died is overwritten, one that is being written is not.
func (osDisk) create(name string) (partFile, error) {
	for {
		f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o644)
		if err != nil {
			return nil, err
		}
		if err := lock(f); err != nil {
			f.Close()
			return nil, &LockedError{name}
		}
		mine, err := f.Stat()
		if err == nil {
			var now os.FileInfo
			if now, err = os.Lstat(name); err == nil && os.SameFile(mine, now) {
				return f, f.Truncate(0)
			}
		}
		f.Close() // renamed or removed between open and lock: what we hold is no longer the part
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
	}
}

func (osDisk) rename(from, to string) error { return os.Rename(from, to) }

func (osDisk) link(name, second string) error {
	os.Remove(second)
	return os.Link(name, second)
}

func (osDisk) remove(name string) { os.Remove(name) }

// syncDir makes renames in dir durable. Some file systems cannot sync a directory; that is no error.
func (osDisk) syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	_ = f.Sync()
	return f.Close()
}
