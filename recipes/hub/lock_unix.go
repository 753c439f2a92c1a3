//go:build unix

package hub

import (
	"errors"
	"os"
	"syscall"
)

// tryLock opens and locks a file as HuggingFace's tools do; held is true where another process has it.
func tryLock(name string) (f *os.File, held bool, err error) {
	f, err = os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o664)
	if err != nil {
		return nil, false, err
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		f.Close()
		return nil, true, nil
	}
	// Another error means a file system without locks: go on without. A holder may remove the file when it is done:
	// then this lock is of a file that nobody else will find.
	mine, err1 := f.Stat()
	there, err2 := os.Stat(name)
	if err1 != nil || err2 != nil || !os.SameFile(mine, there) {
		f.Close()
		return nil, true, nil
	}
	return f, false, nil
}
