//go:build amd64 || arm64

package offload

import (
	"fmt"
	"os"
	"syscall"
)

// errNotDirect is what reads fail with where the file system has no reads past the page cache after all.
const errNotDirect = syscall.EINVAL

// openDirect opens a file, whatever its name is by now, a second time for reads past the page cache; nil where that cannot be.
func openDirect(f *os.File) *os.File {
	d, err := os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", f.Fd()), os.O_RDONLY|syscall.O_DIRECT, 0)
	if err != nil {
		return nil
	}
	return d
}

// dropPages lets go of what a read left in the page cache.
func dropPages(f *os.File, off, n int64) {
	const dontNeed = 4
	_, _, _ = syscall.Syscall6(syscall.SYS_FADVISE64, f.Fd(), uintptr(off), uintptr(n), dontNeed, 0, 0) // advice that is not taken costs nothing
}
