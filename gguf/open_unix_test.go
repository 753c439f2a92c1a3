//go:build unix

package gguf

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// A pipe without a writer is refused at once, not waited for.
func TestOpenPipe(t *testing.T) {
	name := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(name, 0o600); err != nil {
		t.Skip("no pipes here:", err)
	}
	if _, err := Open(name); err == nil || !strings.Contains(err.Error(), "is no regular file") {
		t.Error(err)
	}
}
