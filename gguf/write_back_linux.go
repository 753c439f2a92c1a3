//go:build amd64 || arm64

package gguf

import (
	"os"
	"syscall"
)

// writeBack starts to write to the disk what f has of it in memory, and does not wait for the end.
func writeBack(f *os.File) {
	const start = 2                                     // SYNC_FILE_RANGE_WRITE
	_ = syscall.SyncFileRange(int(f.Fd()), 0, 0, start) // Sync reports what goes wrong
}
