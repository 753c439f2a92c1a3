package gguf

import (
	"errors"
	"io"
	"os"
	"path/filepath"
)

// disk is what a Job needs of the file system; tests put a failing one in its place.
type disk interface {
	free(dir string) (bytes int64, ok bool) // ok is false where the system does not tell
	device(dir string) string               // equal for folders that share their free space; dir itself where the system does not tell
	exists(name string) (bool, error)
	size(name string) int64 // of a file, 0 if there is none
	// open opens name for this process alone, and creates it if need be. What it holds stays.
	open(name string) (f partFile, created bool, err error)
	rename(from, to string) error
	link(name, second string) error // replaces second
	remove(name string)
	syncDir(dir string) error
	read(name string) ([]byte, error) // nil if there is none
	// replace gives name new contents in one step, so that a crash leaves the old or the new ones.
	replace(name string, data []byte) error
}

// partFile is a file being written.
type partFile interface {
	io.WriteCloser
	start(at int64) error // cuts the file off at an offset and writes there
	Sync() error
}

// osFile is the real one. It sends what is written to the disk in steps, so that a sync has little left to wait for.
type osFile struct {
	*os.File
	unsent int64
}

const sendBytes = 32 << 20 // a step

func (f *osFile) Write(p []byte) (int, error) {
	n, err := f.File.Write(p)
	if f.unsent += int64(n); f.unsent >= sendBytes {
		f.unsent = 0
		writeBack(f.File)
	}
	return n, err
}

func (f *osFile) start(at int64) error {
	if err := f.Truncate(at); err != nil {
		return err
	}
	_, err := f.Seek(at, io.SeekStart)
	return err
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

func (osDisk) size(name string) int64 {
	info, err := os.Lstat(name)
	if err != nil || !info.Mode().IsRegular() {
		return 0
	}
	return info.Size()
}

func (osDisk) open(name string) (partFile, bool, error) {
	for {
		_, err := os.Lstat(name)
		created := errors.Is(err, os.ErrNotExist)
		f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o644)
		if err != nil {
			return nil, false, err
		}
		if err := lock(f); err != nil {
			f.Close()
			return nil, false, &LockedError{name}
		}
		mine, err := f.Stat()
		if err == nil {
			var now os.FileInfo
			if now, err = os.Lstat(name); err == nil && os.SameFile(mine, now) {
				return &osFile{File: f}, created, nil
			}
		}
		f.Close() // renamed or removed between open and lock: what we hold is no longer the part
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, false, err
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

func (osDisk) read(name string) ([]byte, error) {
	data, err := os.ReadFile(name)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	return data, err
}

func (d osDisk) replace(name string, data []byte) error {
	next := name + ".next"
	f, err := os.Create(next)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(next, name)
	}
	if err != nil {
		os.Remove(next)
		return err
	}
	return d.syncDir(filepath.Dir(name))
}
