//go:build unix

package gguf

import (
	"errors"
	"os"
	"strconv"
	"syscall"
)

// lock takes the advisory lock on f, or fails at once when another process holds it.
func lock(f *os.File) error {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return err
	}
	return nil // a file system without locks: go on without
}

// isNoSpace reports whether err is a full disk or an exhausted quota.
func isNoSpace(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// device is the number of the file system below dir.
func (osDisk) device(dir string) string {
	info, err := os.Stat(dir)
	if err != nil {
		return dir
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return strconv.FormatUint(uint64(st.Dev), 10)
	}
	return dir
}

// lockDir waits for the advisory lock on a folder.
func lockDir(dir string) (unlock func(), err error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	_ = syscall.Flock(int(f.Fd()), syscall.LOCK_EX) // a file system without locks: go on without
	return func() { f.Close() }, nil
}
