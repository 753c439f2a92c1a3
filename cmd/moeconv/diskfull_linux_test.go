package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestDiskFull: a disk that is full before or while the command writes is a clear error with status 5; what is written
// stays, and when room is made the same command goes on. Where nothing may be mounted, gguf's tests have a disk that fails.
func TestDiskFull(t *testing.T) {
	k := newKilled(t)
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=2m"); err != nil {
		t.Logf("nothing may be mounted here (%v)", err)
		return
	}
	defer func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	}()
	run := func() (int, string) {
		var stderr bytes.Buffer
		c := k.command(dir)
		c.Stderr = &stderr
		_ = c.Run() // its status counts
		return c.ProcessState.ExitCode(), stderr.String()
	}
	if code, stderr := run(); code != 5 || !strings.Contains(stderr, "the output needs") {
		t.Errorf("full before: status %d: %s", code, stderr)
	}
	if got := sums(t, dir); len(got) > 0 {
		t.Errorf("full before: %v", got)
	}
	remount := func(size int64) {
		t.Helper()
		if err := syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT, fmt.Sprintf("size=%d", size)); err != nil {
			t.Fatal(err)
		}
	}
	// The preflight trusts that parts which are there can be written over: one with a hole for most of its bytes fools it.
	remount(4<<20 + 64<<10)
	hole := filepath.Join(dir, "q8-00002-of-00002.gguf.part")
	if err := os.WriteFile(hole, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(hole, 1<<30); err != nil {
		t.Fatal(err)
	}
	code, stderr := run()
	if code != 5 || !strings.Contains(stderr, "no space left") || !strings.Contains(stderr, "the same command goes on from byte") {
		t.Errorf("full at work: status %d: %s", code, stderr)
	}
	k.checkNames(t, dir)
	if _, err := os.Stat(filepath.Join(dir, "q8.gguf.part.journal")); err != nil {
		t.Error(err)
	}
	remount(64 << 20)
	k.finish(t, dir)
}
