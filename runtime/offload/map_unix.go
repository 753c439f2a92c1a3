//go:build unix

package offload

import (
	"os"
	"syscall"
)

// allocate is n bytes at a page, which release gives back to the system at once.
func allocate(n int64) ([]byte, error) {
	return syscall.Mmap(-1, 0, int(n), syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
}

func release(b []byte) {
	if b != nil {
		_ = syscall.Munmap(b)
	}
}

// mapFile maps all of a file for reading.
func mapFile(f *os.File) ([]byte, error) {
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	return syscall.Mmap(int(f.Fd()), 0, int(st.Size()), syscall.PROT_READ, syscall.MAP_SHARED)
}
