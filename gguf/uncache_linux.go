//go:build amd64 || arm64

package gguf

import (
	"os"
	"syscall"
)

// uncache makes the next reads of f come from the disk, as far as its pages are clean.
func uncache(f *os.File) {
	const dontNeed = 4
	_, _, _ = syscall.Syscall6(syscall.SYS_FADVISE64, f.Fd(), 0, 0, dontNeed, 0, 0) // advice that is not taken costs nothing
}
