//go:build unix

package nn

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestWorkersFault: a mapped file that gets shorter is an error, whichever goroutine reads it, and workers go on.
func TestWorkersFault(t *testing.T) {
	name := filepath.Join(t.TempDir(), "mapped")
	if err := os.WriteFile(name, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	data, err := syscall.Mmap(int(f.Fd()), 0, 1<<20, syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Munmap(data)
	read := func(n int) (err error) {
		defer faults(&err)()
		sums := make([]int, n)
		workers{n}.run(1000, func(worker, i int) { sums[worker] += int(data[i*len(data)/1000]) })
		return nil
	}
	if err := read(3); err != nil {
		t.Fatal("before:", err)
	}
	if err := os.Truncate(name, 4096); err != nil {
		t.Fatal(err)
	}
	for n := 1; n <= 4; n++ {
		var cut *FaultError
		if err := read(n); !errors.As(err, &cut) || cut.Hint() == "" {
			t.Errorf("%d workers: %v", n, err)
		}
	}
}

// TestFaultsOther: any other panic stays one.
func TestFaultsOther(t *testing.T) {
	defer func() {
		if r := recover(); r != "other" {
			t.Errorf("recovered %v", r)
		}
	}()
	var err error
	defer faults(&err)()
	panic("other")
}
