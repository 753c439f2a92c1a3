package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/moeconv/moeconv/testdata"
)

// countdown is a context that ends when it has been asked a number of times.
type countdown struct {
	context.Context
	left int
}

func (c *countdown) Err() error {
	if c.left--; c.left < 0 {
		return context.Canceled
	}
	return nil
}

// Interrupted at any moment and given again, the command ends with the bytes it makes in one run; with other flags it is
// refused.
func TestImatrixResume(t *testing.T) {
	dir := t.TempDir()
	run := func(asked int, name string, args ...string) error {
		a := &app{stdout: &bytes.Buffer{}, stderr: &bytes.Buffer{}}
		root := newRoot(a)
		root.SetArgs(append([]string{"imatrix", testdata.Path("tiny/tiny-moe-go"), "-f", testdata.Path("tiny/golden/calib.txt"),
			"--chunks", "4", "--output-frequency", "1", "--threads", "1", "-o", filepath.Join(dir, name)}, args...))
		return root.ExecuteContext(&countdown{t.Context(), asked})
	}
	const plenty = 1 << 30
	if err := run(plenty, "whole-imatrix.gguf"); err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(filepath.Join(dir, "whole-imatrix.gguf"))
	if err != nil {
		t.Fatal(err)
	}
	const name = "imatrix.gguf"
	part := filepath.Join(dir, name+".part")
	stops := 0
	for asked := 5; ; asked += 3 { // a chunk asks a few times
		err := run(asked, name)
		if err == nil {
			break
		}
		if stops++; status(err) != exitInterrupted {
			t.Fatal(err)
		}
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			t.Fatal("an interrupted run has an output")
		}
		if _, err := os.Stat(part); err == nil {
			if err := run(plenty, name, "--process-output"); err == nil {
				t.Fatal("other flags go on with the state")
			}
		}
	}
	got, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	if stops < 2 || !bytes.Equal(got, want) {
		t.Errorf("after %d interruptions the matrix is another", stops)
	}
	if _, err := os.Stat(part); err == nil {
		t.Error("the state is left")
	}
}
