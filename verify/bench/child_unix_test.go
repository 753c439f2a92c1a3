//go:build unix

package bench

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// TestLadderInterrupted: with the ladder, the process of its step ends.
func TestLadderInterrupted(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pid")
	t.Setenv(childEnv, "hangs")
	t.Setenv("PID_FILE", file)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, _, err := runChild(ctx, os.Args[0], nil)
		done <- err
	}()
	var pid int
	for pid == 0 {
		data, _ := os.ReadFile(file)
		pid, _ = strconv.Atoi(string(data))
		time.Sleep(10 * time.Millisecond)
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("process %d is still there: %v", pid, err)
	}
}
