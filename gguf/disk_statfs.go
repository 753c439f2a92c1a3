//go:build linux || darwin || freebsd

package gguf

import "syscall"

// freeSpace is the number of bytes an unprivileged user may still write below dir.
func freeSpace(dir string) (int64, bool) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return 0, false
	}
	return int64(st.Bavail) * int64(st.Bsize), true
}
